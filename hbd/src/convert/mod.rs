//! `hbctl convert`: our TOML for an old set-up.
//!
//! ```text
//! ha.cf  haresources  authkeys ──▶ ha, haresources ──┐
//! lvs.cf ────────────────────────▶ lvs ──────────────┼─▶ cluster_file ─▶ hbd.toml
//! keepalived.conf ───────────────▶ keepalived ───────┤
//! ldirectord.cf ─────────────────▶ ldirectord ───────┴─▶ service_file ─▶ director.toml
//! ```
//!
//! All of it is a function of the texts: [`gather`] alone reads files. What cannot be carried over is a [`Remark`], which
//! stands in the file as a comment and is said on standard error; what cannot be understood is a mistake, and all mistakes
//! are told at once.
pub mod gather;

mod cluster_file;
mod doc;
mod ha;
mod ha_extra;
mod haresources;
mod heartbeat;
mod include;
mod keepalived;
mod keepalived_checks;
mod keepalived_keys;
mod keepalived_resources;
mod keepalived_services;
mod keepalived_tokens;
mod keepalived_vrrp;
mod ldirectord;
mod ldirectord_checks;
mod ldirectord_keys;
mod ldirectord_services;
mod lvs;
mod lvs_cluster;
mod lvs_services;
mod names;
mod service_file;
mod source;
mod spelling;
mod value;

use base::config::problem::{Problem, Problems};

pub use doc::{Doc, Remark};
pub use source::{Kind, Source};

/// What the old files do not say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The names of the two nodes, the primary (or the one the file is from) first.
    pub nodes: Option<[String; 2]>,
}

impl Options {
    /// With the names of the two nodes.
    ///
    /// # Errors
    /// Why they cannot be that.
    pub fn with_nodes(first: &str, second: &str) -> Result<Options, String> {
        if let Some(odd) = [first, second].into_iter().find(|name| names::name(name, "") != **name) {
            return Err(format!("'{}' cannot be the name of a node", source::shown(odd)));
        }
        match first.eq_ignore_ascii_case(second) {
            true => Err("the two nodes have two names".to_owned()),
            false => Ok(Options { nodes: Some([first.to_owned(), second.to_owned()]) }),
        }
    }
}

/// The new files.
#[derive(Clone, Debug, Default)]
pub struct Converted {
    /// `hbd.toml`.
    pub hbd: Option<Doc>,
    /// `director.toml`.
    pub director: Option<Doc>,
}

/// Converts `sources`, which together are one set-up.
///
/// # Errors
/// All that is wrong with them.
pub fn convert(sources: &[Source], options: &Options) -> Result<Converted, Problems> {
    check_together(sources)?;
    let of = |kind: Kind| sources.iter().filter(move |source| source.kind == kind);
    let mut problems = Problems::default();
    let mut services = service_file::Draft::default();
    for source in of(Kind::Ldirectord) {
        match ldirectord::parse(source) {
            Ok(file) => ldirectord_services::read(&source.name, &file, &mut services),
            Err(more) => problems.list.extend(more.list),
        }
    }
    let mut cluster = None;
    let heartbeat = heartbeat::Sources {
        ha_cf: of(Kind::HaCf).next(),
        resources: of(Kind::HaResources).next(),
        authkeys: of(Kind::AuthKeys).next(),
    };
    if heartbeat.any() {
        match heartbeat.convert(!services.virtuals.is_empty(), options) {
            Ok(draft) => cluster = Some(draft),
            Err(more) => problems.list.extend(more.list),
        }
    }
    if let Some(source) = of(Kind::Lvs).next() {
        match lvs::parse(source) {
            Ok(file) => {
                lvs_services::read(&source.name, &file, &mut services);
                let director = !services.virtuals.is_empty();
                cluster = Some(lvs_cluster::read(&source.name, &file, director, options));
            }
            Err(more) => problems.list.extend(more.list),
        }
    }
    if let Some(source) = of(Kind::Keepalived).next() {
        match keepalived::parse(source) {
            Ok(nodes) => {
                let before = services.virtuals.len();
                keepalived_services::read(&nodes, &mut services);
                let addresses = services
                    .virtuals
                    .get(before..)
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|one| one.address());
                let addresses: Vec<String> = addresses.map(str::to_owned).collect();
                let there = !services.virtuals.is_empty();
                let pair = keepalived_vrrp::read(&nodes, there.then_some(addresses.as_slice()), options);
                cluster = cluster.or(pair);
            }
            Err(more) => problems.list.extend(more.list),
        }
    }
    if !problems.list.is_empty() {
        return Err(problems);
    }
    let mut converted = Converted {
        hbd: cluster.map(cluster_file::Draft::finish),
        director: Some(services).filter(|draft| !draft.virtuals.is_empty()).map(service_file::Draft::finish),
    };
    introduce(&mut converted, sources);
    if converted.hbd.is_none() && converted.director.is_none() {
        let name = sources.first().map_or("", |source| source.name.as_str());
        let help = "name a file with nodes, addresses or virtual services in it";
        return Err(Problem::whole(
            name,
            "there is nothing in it to convert".to_owned(),
            Some(help.to_owned()),
        )
        .into());
    }
    Ok(converted)
}

/// One set-up at a time: no file twice, and one program that moves the addresses.
fn check_together(sources: &[Source]) -> Result<(), Problems> {
    let family = |kind: Kind| match kind {
        Kind::HaCf | Kind::HaResources | Kind::AuthKeys => Some("Heartbeat"),
        Kind::Lvs => Some("Piranha"),
        Kind::Keepalived => Some("keepalived"),
        Kind::Ldirectord => None,
    };
    let mut before: Option<&Source> = None;
    for source in sources.iter().filter(|source| family(source.kind).is_some()) {
        let wrong = |message: String, help: &str| {
            Err(Problem::whole(&source.name, message, Some(help.to_owned())).into())
        };
        if let Some(twin) = sources
            .iter()
            .take_while(|other| !std::ptr::eq(*other, source))
            .find(|other| other.kind == source.kind)
        {
            let message = format!("{} is such a file already, and a set-up has one", twin.name);
            return wrong(message, "convert each set-up by itself; of keepalived, the file of one node");
        }
        if let Some(other) = before.filter(|other| family(other.kind) != family(source.kind)) {
            return wrong(format!("{} is of another set-up", other.name), "convert each set-up by itself");
        }
        before = Some(source);
    }
    Ok(())
}

/// Puts the first lines into the files: what they are made from, and what to do with them.
fn introduce(converted: &mut Converted, sources: &[Source]) {
    let from = |of: fn(Kind) -> bool| {
        let names: Vec<&str> =
            sources.iter().filter(|source| of(source.kind)).map(|source| source.name.as_str()).collect();
        names.join(", ")
    };
    if let Some(doc) = &mut converted.hbd {
        let from = from(|kind| kind != Kind::Ldirectord && kind != Kind::AuthKeys);
        doc.head.push(format!("/etc/hbd/hbd.toml, the same on both nodes. Converted from {from}."));
        doc.head.push("Look through the remarks, then: hbctl check FILE".to_owned());
    }
    if let Some(doc) = &mut converted.director {
        let from = from(|kind| matches!(kind, Kind::Ldirectord | Kind::Lvs | Kind::Keepalived));
        doc.head.push(format!("/etc/hbd/director.toml, the same on both directors. Converted from {from}."));
        doc.head.push(
            "Look through the remarks, then: director check FILE; director plan --config FILE".to_owned(),
        );
    }
}
