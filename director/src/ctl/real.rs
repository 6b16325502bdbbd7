//! `director check --real`: what is wrong with this machine as a real server.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use base::terminal::fail::Fail;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::args::Common;
use super::commands::{bad, print_json};
use crate::config;
use crate::config::model::Config;
use crate::real::facts::Facts;
use crate::real::{self, Finding, Forward, Wanted, Weight};
use crate::table::{self, Key, Protocol};

/// What to look at.
#[derive(Debug, Args)]
#[command(next_help_heading = "On a real server")]
pub(super) struct RealArgs {
    /// Tell what is wrong with this machine as a real server, by the directors' configuration or by --vip
    #[arg(long)]
    pub(super) real: bool,
    /// A virtual service this machine serves; several are allowed
    #[arg(long, value_name = "ADDRESS:PORT", requires = "real", conflicts_with = "file")]
    vip: Vec<SocketAddr>,
    /// How packets of the services in --vip come: gate, masq or ipip
    #[arg(long, value_enum, default_value = "gate", hide_possible_values = true, requires = "real")]
    forward: Way,
    /// The protocol of the services in --vip: tcp or udp
    #[arg(long, value_enum, default_value = "tcp", hide_possible_values = true, requires = "real")]
    protocol: Transport,
    /// The directors' address on this side, which the way back must go through with NAT
    #[arg(long, value_name = "ADDRESS", requires = "real")]
    director: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    Gate,
    Masq,
    Ipip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transport {
    Tcp,
    Udp,
}

/// Looks, and says what is wrong: then it is a failure.
pub(super) fn check(common: &Common, args: &RealArgs, file: &Path) -> Result<(), Fail> {
    let facts = Facts::gather().map_err(Fail::Refused)?;
    let wanted = match args.vip.is_empty() {
        false => args.vip.iter().map(|vip| by_hand(args, *vip)).collect(),
        true => {
            let config = config::load(file).map_err(|problems| bad(common, &problems))?;
            by_config(&config, &facts, args.director)
        }
    };
    if wanted.is_empty() {
        return Err(Fail::Refused(format!(
            "no real server in {} has an address of this machine; name what it serves: --vip 192.0.2.10:80 --forward gate",
            file.display()
        )));
    }
    let findings = real::judge(&facts, &wanted);
    let wrong = findings.iter().filter(|finding| finding.weight == Weight::Wrong).count();
    show(common, &wanted, &findings, wrong)?;
    match wrong {
        0 => Ok(()),
        1 => Err(Fail::Refused("one thing is wrong with this machine as a real server".to_owned())),
        many => Err(Fail::Refused(format!("{many} things are wrong with this machine as a real server"))),
    }
}

fn show(common: &Common, wanted: &[Wanted], findings: &[Finding], wrong: usize) -> Result<(), Fail> {
    let mut stdout = io::stdout().lock();
    if common.json {
        let findings: Vec<_> = findings
            .iter()
            .map(|finding| {
                let weight = if finding.weight == Weight::Wrong { "wrong" } else { "odd" };
                json!({ "weight": weight, "what": finding.what, "do": finding.help })
            })
            .collect();
        let services: Vec<_> = wanted.iter().map(|wanted| wanted.vip.to_string()).collect();
        return print_json(
            &mut stdout,
            &json!({ "good": wrong == 0, "services": services, "findings": findings }),
        );
    }
    for finding in findings {
        writeln!(stdout, "{finding}")?;
    }
    if findings.is_empty() {
        let services: Vec<_> = wanted.iter().map(|wanted| wanted.vip.to_string()).collect();
        writeln!(stdout, "good: this machine is set up to serve {}", services.join(", "))?;
    }
    Ok(())
}

fn by_hand(args: &RealArgs, vip: SocketAddr) -> Wanted {
    Wanted {
        vip,
        protocol: match args.protocol {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
        },
        forward: match args.forward {
            Way::Gate => Forward::Gate,
            Way::Masq => Forward::Masq,
            Way::Ipip => Forward::Tunnel,
        },
        port: vip.port(),
        own: None,
        director: args.director,
    }
}

/// The services whose real servers have an address of this machine. A firewall mark has no address to look at.
fn by_config(config: &Config, facts: &Facts, director: Option<IpAddr>) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for service in &config.virtuals {
        let Key::Address(protocol, vip) = service.key else {
            continue;
        };
        for real in service.reals.iter().filter(|real| facts.holder(real.address.ip()).is_some()) {
            let forward = match real.forward {
                table::Forward::Gate => Forward::Gate,
                table::Forward::Masq => Forward::Masq,
                table::Forward::Tunnel(_) => Forward::Tunnel,
                // Never configured.
                table::Forward::Local | table::Forward::Bypass => continue,
            };
            let (port, own) = (real.address.port(), Some(real.address.ip()));
            wanted.push(Wanted { vip, protocol, forward, port, own, director });
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::facts::Interface;

    #[test]
    fn what_this_machine_serves_is_found_by_its_addresses() {
        let text = "[[virtual]]\nname = \"www\"\naddress = \"10.0.0.9:80\"\nforward = \"gate\"\n\
                    [[virtual.real]]\nname = \"a\"\naddress = \"10.0.0.1:80\"\n\
                    [[virtual.real]]\nname = \"b\"\naddress = \"10.0.0.2:80\"\nforward = \"ipip\"\n";
        let config = config::parse(text, Path::new("director.toml")).map_err(|p| p.render(false)).unwrap();
        let address = "10.0.0.2".parse().unwrap();
        let interface =
            Interface { name: "eth0".to_owned(), up: true, addresses: vec![address], ..Interface::default() };
        let facts = Facts { interfaces: vec![interface], ..Facts::default() };
        let wanted = by_config(&config, &facts, None);
        assert_eq!(wanted.len(), 1);
        assert_eq!((wanted[0].forward, wanted[0].own), (Forward::Tunnel, Some(address)));
    }
}
