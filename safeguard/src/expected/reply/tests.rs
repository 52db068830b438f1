use super::*;

/// In the form of the EC2 API reference, "DescribeInstances", "Examples".
const PAGE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">
  <requestId>8f7724cf-496f-496e-8fe3-example</requestId>
  <reservationSet>
    <item>
      <reservationId>r-1</reservationId><ownerId>123456789012</ownerId><groupSet/>
      <instancesSet>
        <item>
          <instanceId>i-0123456789abcdef0</instanceId><imageId>ami-0123456789abcdef0</imageId>
          <instanceState><code>16</code><name>running</name></instanceState>
          <launchTime>2026-03-14T15:00:00.000Z</launchTime>
          <rootDeviceName>/dev/xvda</rootDeviceName>
          <blockDeviceMapping>
            <item><deviceName>/dev/xvdb</deviceName><ebs><attachTime>2026-03-14T16:00:00.000Z</attachTime></ebs></item>
            <item><deviceName>/dev/xvda</deviceName><ebs><attachTime>2026-03-14T15:00:02.000Z</attachTime></ebs></item>
          </blockDeviceMapping>
          <networkInterfaceSet>
            <item><attachment><deviceIndex>1</deviceIndex><attachTime>2026-03-14T17:00:00.000Z</attachTime></attachment></item>
            <item><attachment><deviceIndex>0</deviceIndex><attachTime>2026-03-14T15:00:01.000Z</attachTime></attachment></item>
          </networkInterfaceSet>
          <tagSet>
            <item><key>Name</key><value>a &amp; b</value></item>
            <item><key>eks:cluster-name</key><value>prod</value></item>
            <item><key>eks:nodegroup-name</key><value>workers</value></item>
          </tagSet>
        </item>
        <item>
          <instanceId>i-0123abcd</instanceId><imageId>ami-0123abcd</imageId>
          <instanceState><code>48</code><name>terminated</name></instanceState>
          <networkInterfaceSet/><tagSet><item><key>kubernetes.io/cluster/dev</key><value>owned</value></item></tagSet>
        </item>
      </instancesSet>
    </item>
  </reservationSet>
  <nextToken>more</nextToken>
</DescribeInstancesResponse>";

#[test]
fn a_page_is_read() {
    let Page { instances, next } = read(PAGE.as_bytes(), "eu-central-1").unwrap();
    assert_eq!(next.as_deref(), Some("more"));
    let start = 1_773_500_400_000;
    let first = Instance {
        account: "123456789012".to_owned(),
        region: "eu-central-1".to_owned(),
        instance_id: "i-0123456789abcdef0".to_owned(),
        image_id: "ami-0123456789abcdef0".to_owned(),
        state: InstanceState::Running,
        launch_ms: Some(start),
        root_attach_ms: Some(start + 2000),
        eni_attach_ms: Some(start + 1000),
        cluster: Some("prod".to_owned()),
        node_group: Some("workers".to_owned()),
    };
    assert_eq!(instances.first(), Some(&first));
    let second = instances.get(1).unwrap();
    assert_eq!((second.state, second.launch_ms, second.root_attach_ms), (InstanceState::Terminated, None, None));
    assert_eq!((second.cluster.as_deref(), second.node_group.as_deref()), (Some("dev"), None));
}

#[test]
fn what_is_no_list_is_not_an_empty_one() {
    let empty = "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>";
    let page = read(empty.as_bytes(), "eu-central-1").unwrap();
    assert!(page.instances.is_empty() && page.next.is_none());
    for body in [
        "",
        "<html></html>",
        "<DescribeInstancesResponse/>",
        "<Other><reservationSet/></Other>",
        &PAGE.replace("123456789012", ""),
        &PAGE.replace("i-0123abcd", "x"),
        PAGE.get(..1000).unwrap(),
    ] {
        assert!(read(body.as_bytes(), "eu-central-1").is_err(), "{body}");
    }
}

#[test]
fn an_error_has_a_name_or_none() {
    let error = |code: &str| {
        error_code(format!("<Response><Errors><Error><Code>{code}</Code></Error></Errors></Response>").as_bytes())
    };
    assert_eq!(error("UnauthorizedOperation"), "UnauthorizedOperation");
    assert_eq!((error("&lt;b>").as_str(), error_code(b"<html>").as_str()), ("", ""));
}
