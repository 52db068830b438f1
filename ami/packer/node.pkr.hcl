# The EKS-optimised image of Amazon Linux 2023, hardened and judged by our own checks.
#
#   packer init ami/packer && packer build -var-file=ami/packer/production.pkrvars.hcl ami/packer

locals {
  started = formatdate("YYYYMMDD-hhmmss", timestamp())
  # Not below /tmp: a builder may have it mounted noexec, and the steps give it a file system of its own. Scripts are read by bash.
  work    = "/opt/safeguard-build"
  scripts = "/var/tmp"
}

source "amazon-ebs" "node" {
  region          = var.region
  instance_type   = var.instance_type
  ami_name        = "safeguard-eks-node-${var.kubernetes_version}-${local.started}"
  ami_description = "EKS node for Kubernetes ${var.kubernetes_version}, hardened and judged by safeguard-agent"

  source_ami_filter {
    owners      = [var.base_owner]
    most_recent = true
    filters = {
      name                = "amazon-eks-node-al2023-x86_64-standard-${var.kubernetes_version}-v*"
      architecture        = "x86_64"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  # The builder is in a private subnet, without a public address, and is reached through Systems Manager.
  subnet_id                   = var.subnet_id
  associate_public_ip_address = false
  iam_instance_profile        = var.instance_profile
  communicator                = "ssh"
  ssh_username                = "ec2-user"
  ssh_interface               = "session_manager"
  ssh_clear_authorized_keys   = true

  # Of the builder, and of every instance of the image.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
  imds_support = "v2.0"

  encrypt_boot = true
  kms_key_id   = var.kms_key_id
  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = var.volume_size
    encrypted             = true
    kms_key_id            = var.kms_key_id
    delete_on_termination = true
  }

  run_tags        = { Name = "safeguard-ami-builder" }
  run_volume_tags = { Name = "safeguard-ami-builder" }
  # What is only known when the image was judged (digests of the report and of the policies) is added by tag-image.
  tags = {
    Name                   = "safeguard-eks-node-${var.kubernetes_version}"
    "safeguard:base-image" = "{{ .SourceAMIName }}"
    "safeguard:kubernetes" = var.kubernetes_version
    "safeguard:judged"     = "no"
  }
}

build {
  sources = ["source.amazon-ebs.node"]

  provisioner "shell" {
    remote_folder   = local.scripts
    execute_command = "env {{ .Vars }} bash -e {{ .Path }}"
    inline          = ["sudo install -d -m 0700 -o ec2-user ${local.work} ${local.work}/ami ${local.work}/packages ${local.work}/settings ${local.work}/reports"]
  }

  provisioner "file" {
    source      = "${path.root}/../"
    destination = "${local.work}/ami"
  }

  provisioner "file" {
    source      = "${var.packages}/"
    destination = "${local.work}/packages"
  }

  # An empty directory has to be named as well: without settings of your own it is the one beside this file.
  provisioner "file" {
    source      = "${var.settings == "" ? "${path.root}/no-settings" : var.settings}/"
    destination = "${local.work}/settings"
  }

  provisioner "shell" {
    remote_folder = local.scripts
    environment_vars = [
      "ROOT=/",
      "PACKAGES=${local.work}/packages",
      "SETTINGS=${local.work}/settings",
      "REPORTS=${local.work}/reports",
      "NODE_GROUP=${var.node_group}",
    ]
    execute_command = "sudo env {{ .Vars }} bash -e {{ .Path }}"
    inline = [
      "bash ${local.work}/ami/provision/run",
      "bash ${local.work}/ami/validate/run",
      "bash ${local.work}/ami/manifest/write > ${local.work}/reports/manifest.json",
      "chown -R ec2-user ${local.work}/reports",
    ]
  }

  provisioner "file" {
    direction   = "download"
    source      = "${local.work}/reports/report.json"
    destination = "${var.reports}/report.json"
  }

  provisioner "file" {
    direction   = "download"
    source      = "${local.work}/reports/report.html"
    destination = "${var.reports}/report.html"
  }

  provisioner "file" {
    direction   = "download"
    source      = "${local.work}/reports/manifest.json"
    destination = "${var.reports}/manifest.json"
  }

  # What this template itself brought. The image is made of what is on the disk after it.
  provisioner "shell" {
    remote_folder   = local.scripts
    execute_command = "sudo env {{ .Vars }} bash -e {{ .Path }}"
    inline          = ["rm -rf ${local.work}"]
  }

  post-processor "manifest" {
    output     = "${var.reports}/packer.json"
    strip_path = true
  }

  post-processor "shell-local" {
    inline = ["bash ${path.root}/tag-image ${var.reports}"]
  }
}
