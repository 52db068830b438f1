//! Compares what is there with what should be, mends it where asked, and probes.

use safeguard_daemon::clock;

use super::address::Found;
use super::listing::Listing;
use super::netlink::Netlink;
use super::nft::Nft;
use super::report::{Finding, Layer, Layers, Report, Standing};
use super::state::{self, State, VERSION};
use super::{Error, Ipv6, Redirect, address, family, foreign, lock, probe, routing, ruleset, sandbox};

/// Looks at every layer, mends what differs where `repair` says so, probes, and writes the state file.
///
/// What cannot be observed is a problem of its layer and never counts as holding; [`Report`] then says why.
///
/// # Errors
/// Only when another run holds the lock, or the state file cannot be written.
pub async fn check(redirect: &Redirect, repair: bool) -> Result<Report, Error> {
    let _lock = lock::take(redirect.state_file()).await?;
    let before = State::read(redirect.state_file()).map_or(0, |state| state.generation);
    let mut draft = Draft::default();
    let ipv6 = match family::plan(redirect) {
        Ok(ipv6) => ipv6,
        Err(error) => {
            draft.problem(Layer::Address, error.to_string());
            family::without(redirect)
        }
    };
    match Nft::find(redirect).and_then(|nft| Ok((nft, Netlink::open()?))) {
        Ok((nft, netlink)) => Bench { redirect, ipv6, nft, netlink, repair }.examine(&mut draft).await,
        Err(error) => draft.problem(Layer::Table, error.to_string()),
    }
    let report = draft.report(before, ipv6, clock::now_ms());
    state::write(redirect.state_file(), &report)?;
    Ok(report)
}

#[derive(Debug, Default)]
struct Draft {
    layers: Layers,
    problems: Vec<Finding>,
    mended: Vec<Finding>,
    warnings: Vec<String>,
    probes: Vec<probe::Passage>,
}

impl Draft {
    fn problem(&mut self, layer: Layer, text: String) {
        self.problems.push(Finding { layer, text });
    }

    fn report(self, generation: u64, ipv6: Ipv6, at_ms: i64) -> Report {
        let ok = self.layers.all_hold() && self.problems.is_empty();
        let generation = generation.saturating_add(u64::from(!self.mended.is_empty()));
        let (problems, layers) = (self.problems, self.layers);
        let state = State { version: VERSION, ok, generation, at_ms, problems, layers };
        Report { state, ipv6, mended: self.mended, warnings: self.warnings, probes: self.probes }
    }
}

/// What one check works with.
struct Bench<'a> {
    redirect: &'a Redirect,
    ipv6: Ipv6,
    nft: Nft,
    netlink: Netlink,
    repair: bool,
}

impl Bench<'_> {
    async fn examine(&self, draft: &mut Draft) {
        let (netlink, redirect, ipv6) = (&self.netlink, self.redirect, self.ipv6);
        // In the order of `up`.
        let mend = async || routing::bring_up(netlink, ipv6).await;
        self.layer(draft, Layer::Routing, async || self.routing().await, mend).await;
        let mend = async || address::bring_up(netlink, redirect, ipv6).await;
        self.layer(draft, Layer::Address, async || self.addresses().await, mend).await;
        let mend = async || self.nft.apply(&ruleset::table(redirect, ipv6)).await;
        self.layer(draft, Layer::Table, async || self.table().await, mend).await;
        match foreign::warnings(netlink, &self.nft, ipv6).await {
            Ok(warnings) => draft.warnings = warnings,
            Err(error) => draft.warnings.push(format!("rules of others could not be looked at: {error}")),
        }
        self.probe(draft).await;
    }

    /// Looks at one layer, and mends it and looks again.
    async fn layer(
        &self,
        draft: &mut Draft,
        layer: Layer,
        look: impl AsyncFn() -> Result<Vec<String>, Error>,
        mend: impl AsyncFn() -> Result<(), Error>,
    ) {
        let mut found = look().await;
        if let Ok(wrong) = &found
            && !wrong.is_empty()
            && self.repair
        {
            let wrong = wrong.clone();
            match mend().await {
                Ok(()) => {
                    found = look().await;
                    if found.as_ref().is_ok_and(Vec::is_empty) {
                        draft.mended.extend(wrong.into_iter().map(|text| Finding { layer, text }));
                    }
                }
                Err(error) => draft.problem(layer, format!("it could not be mended: {error}")),
            }
        }
        match found {
            Ok(wrong) => {
                draft.layers.set(layer, if wrong.is_empty() { Standing::Holds } else { Standing::Broken });
                draft.problems.extend(wrong.into_iter().map(|text| Finding { layer, text }));
            }
            Err(error) => draft.problem(layer, format!("it could not be looked at: {error}")),
        }
    }

    async fn routing(&self) -> Result<Vec<String>, Error> {
        let missing = routing::missing(&self.netlink, self.ipv6).await?;
        Ok(missing.iter().map(|rule| format!("the routing rule `{}` is gone", rule.text())).collect())
    }

    async fn addresses(&self) -> Result<Vec<String>, Error> {
        let mut wrong = Vec::new();
        for (address, found, _) in address::look(&self.netlink, self.redirect, self.ipv6).await? {
            match found {
                Found::Right => {}
                Found::Gone => wrong.push(format!("the proxy's address {address} is not on lo")),
                Found::Wrong(why) => wrong.push(format!("the proxy's address {address} is not as it should be: {why}")),
                Found::Elsewhere(index) => {
                    let interface = address::interface(&self.netlink, index).await;
                    wrong.push(Error::AddressTaken { address, interface }.to_string());
                }
            }
        }
        Ok(wrong)
    }

    /// What `nft` lists differs with its version and the kernel's. So the comparison is with what the same program lists
    /// of the same text in an empty namespace.
    async fn table(&self) -> Result<Vec<String>, Error> {
        let Some(found) = self.nft.list(&["table", "inet", ruleset::NAME]).await? else {
            return Ok(vec![format!("the nftables table {} is gone", ruleset::TABLE)]);
        };
        let (nft, text) = (self.nft.clone(), ruleset::table(self.redirect, self.ipv6));
        let wanted = sandbox::within(async move |_| {
            nft.apply(&text).await?;
            nft.list(&["table", "inet", ruleset::NAME]).await
        });
        Ok(Listing::of(&wanted.await?.unwrap_or_default()).differences(&Listing::of(&found)))
    }

    async fn probe(&self, draft: &mut Draft) {
        match probe::run(&self.netlink, &self.nft, self.redirect, self.ipv6).await {
            Ok(passages) => {
                let holds = passages.iter().all(|passage| passage.holds);
                let unknown = passages.iter().any(|passage| passage.outcome == probe::Outcome::Unknown);
                let standing = match (holds, unknown) {
                    (true, _) => Standing::Holds,
                    (false, true) if passages.iter().all(|p| p.holds || p.outcome == probe::Outcome::Unknown) => {
                        Standing::Unknown
                    }
                    _ => Standing::Broken,
                };
                draft.layers.set(Layer::Probe, standing);
                for passage in passages.iter().filter(|passage| !passage.holds) {
                    draft.problem(Layer::Probe, passage.text.clone());
                }
                draft.probes = passages;
            }
            Err(error) => draft.problem(Layer::Probe, format!("nothing could be probed: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_layers_together_are_ok_and_only_mending_makes_a_generation() {
        let holds = || Layers {
            address: Standing::Holds,
            table: Standing::Holds,
            routing: Standing::Holds,
            probe: Standing::Holds,
        };
        let draft = || Draft { layers: holds(), ..Draft::default() };
        let report = draft().report(4, Ipv6::Absent, 9);
        assert!(report.state.ok);
        assert_eq!((report.state.generation, report.state.at_ms), (4, 9));
        for layer in [Layer::Address, Layer::Table, Layer::Routing, Layer::Probe] {
            for standing in [Standing::Broken, Standing::Unknown] {
                let mut draft = draft();
                draft.layers.set(layer, standing);
                assert!(!draft.report(0, Ipv6::Absent, 0).state.ok, "{layer} {standing:?}");
            }
        }
        let mut mended = draft();
        mended.mended.push(Finding { layer: Layer::Table, text: String::new() });
        assert_eq!(mended.report(4, Ipv6::Absent, 0).state.generation, 5);
        let mut open = draft();
        open.problem(Layer::Address, String::new());
        assert!(!open.report(0, Ipv6::Absent, 0).state.ok);
    }
}
