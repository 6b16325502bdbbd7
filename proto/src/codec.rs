//! The packet, byte by byte; `docs/protocol.md` has the same in words.
//!
//! ```text
//!  0        2        3        4        5                        13
//! ┌────────┬────────┬────────┬────────┬────────────────────────┬──────────── … ─┬──────────┐
//! │ "hb"   │ version│ method │ key id │ cluster id             │ body           │ tag      │
//! └────────┴────────┴────────┴────────┴────────────────────────┴──────────── … ─┴──────────┘
//!  magic    major<<4                   FNV-1a 64 of its name                     16 bytes,
//!           | minor                                                              4 for crc
//!  └──────────────────────── covered by the tag ───────────────────────────────┘
//!
//!  body:   ┌──────────┬─────────────┬──────┬──────────┬───────┬─────────────┬────────┬───────┬
//!          │ name     │ incarnation │ boot │ sequence │ flags │ maintenance │ config │ pings │
//!          │ text ≤63 │ varint      │ 8    │ varint   │ 1     │ varint ≤u32 │ 8      │ 1 + 1 │
//!          └──────────┴─────────────┴──────┴──────────┴───────┴─────────────┴────────┴───────┴
//!          then sections, in rising order of type, each at most once:
//!          ┌──────┬────────────────┬────────┬────────┬─ …        record: ┌────────────────┬────────┬─────────┐
//!          │ type │ length, varint │ record │ record │                   │ length, varint │ fields │ (newer) │
//!          └──────┴────────────────┴────────┴────────┴─ …                └────────────────┴────────┴─────────┘
//!           1 echoes  2 groups  3 orders  4 acks  5 config ask  6 config page  7 config entries; others are skipped
//!
//!  flags:  bit 0-1 state (joining up leaving left)  2 standby  3 maintenance on  4-7 zero, ignored
//!  group:  id 4 │ bits 1 │ epoch varint │ [failures varint] │ [to 4] │ [more 1]
//!          bits: 0-2 state  3 able  4 failed  5 declined  6 `to` follows  7 failures follow
//!  echo:   node 4 │ boot 8 │ incarnation varint │ links varint │ [heard varint ≤u32]
//!  order:  id varint │ target 4 │ kind 1 │ by text ≤32 │ [group 4] │ [to 4]
//!          kind: 1 standby  2 online  3 give (group, to)  4 cleanup all  5 cleanup (group)
//!  ask:    target 4 │ page varint ≤u16
//!  page:   issuer 4 │ page varint ≤u16 │ pages varint ≤u16
//!  entry:  name text ≤100 │ fingerprint 4
//!  ack:    issuer 4 │ id varint │ verdict 1 │ [text ≤120]      verdict: 0 accepted  1 refused (text)
//! ```
//!
//! A newer minor version may add sections, fields at the end of records, order kinds and verdicts:
//! an older decoder skips what it does not know. Anything else is a new major version.

use crate::message::{
    ConfigAsk, ConfigEntry, ConfigPage, Echo, GroupId, GroupReport, GroupState, MAX_NODE_NAME, Maintenance,
    Message, NodeId, NodeState, Order, OrderAck, OrderKind, name_is_valid,
};
use crate::reject::{Fault, Malformed};
use crate::wire::{Reader, put_block, put_text, put_varint};

/// Most groups in a message; a configuration with more is refused before it comes to this.
pub const MAX_GROUPS: usize = 255;
/// Most other nodes a message can echo.
pub const MAX_ECHOES: usize = 15;
/// Most links an echo can speak of.
pub const MAX_LINKS: usize = 64;
/// Most orders that travel at once.
pub const MAX_ORDERS: usize = 8;
/// Most acknowledgements that travel at once.
pub const MAX_ACKS: usize = 8;
/// Most bytes of [`Order::by`] that travel.
pub const MAX_BY: usize = 32;
/// Most bytes of [`OrderAck::refused`] that travel.
pub const MAX_REFUSED: usize = 120;
/// Most entries of a [`ConfigPage`] that travel at once.
pub const MAX_ENTRIES: usize = 8;
/// Most bytes of an entry's name that travel.
pub const MAX_ENTRY_NAME: usize = 100;
/// No packet is longer, in bytes: the size of a receiver's buffer. All lists full with the biggest
/// values still fit.
pub const MAX_PACKET: usize = 9216;
/// What goes over Ethernet and IPv4 in one piece, in bytes. A hundred groups fit; a longer packet
/// is fragmented by IP.
pub const ONE_DATAGRAM: usize = 1472;

/// Section types.
const ECHOES: u8 = 1;
const GROUPS: u8 = 2;
const ORDERS: u8 = 3;
const ACKS: u8 = 4;
const CONFIG_ASK: u8 = 5;
const CONFIG_PAGE: u8 = 6;
const CONFIG_ENTRIES: u8 = 7;

/// Body flags.
const STATE: u8 = 0b11;
const STANDBY: u8 = 1 << 2;
const MAINTENANCE: u8 = 1 << 3;

/// Bits of a group record.
const GROUP_STATE: u8 = 0b111;
const ABLE: u8 = 1 << 3;
const FAILED: u8 = 1 << 4;
const DECLINED: u8 = 1 << 5;
const HAS_TO: u8 = 1 << 6;
const HAS_FAILURES: u8 = 1 << 7;

/// Bits of the byte behind a group record's other fields, which is there if any of them is set.
const SAYS_FENCE: u8 = 1 << 0;
const FENCE: u8 = 1 << 1;
const WRONG: u8 = 1 << 2;

/// Order kinds.
const STANDBY_ORDER: u8 = 1;
const ONLINE: u8 = 2;
const GIVE: u8 = 3;
const CLEANUP_ALL: u8 = 4;
const CLEANUP_GROUP: u8 = 5;

/// Verdicts of an acknowledgement.
const ACCEPTED: u8 = 0;
const REFUSED: u8 = 1;

/// Appends the body of `message`.
///
/// Orders and acks beyond the limits wait for a later message: they are repeated until done with.
/// More groups or echoes than fit, or a name that is none, are the caller's mistake (asserted in
/// debug builds); they are cut, or refused by the receiver.
pub(crate) fn put_body(out: &mut Vec<u8>, message: &Message) {
    debug_assert!(name_is_valid(&message.from), "node name {:?}", message.from);
    debug_assert!(message.groups.len() <= MAX_GROUPS, "{} groups", message.groups.len());
    debug_assert!(message.echoes.len() <= MAX_ECHOES, "{} echoes", message.echoes.len());

    put_text(out, &message.from, MAX_NODE_NAME);
    put_varint(out, message.incarnation);
    out.extend_from_slice(&message.boot.to_be_bytes());
    put_varint(out, message.sequence);
    let standby = if message.standby { STANDBY } else { 0 };
    let maintenance = if message.maintenance.on { MAINTENANCE } else { 0 };
    out.push(node_state_bits(message.state) | standby | maintenance);
    put_varint(out, u64::from(message.maintenance.version));
    out.extend_from_slice(&message.config_digest.to_be_bytes());
    out.extend_from_slice(&[message.pings_seen, message.pings_total]);

    put_section(out, ECHOES, &message.echoes, MAX_ECHOES, put_echo);
    put_section(out, GROUPS, &message.groups, MAX_GROUPS, put_group);
    put_section(out, ORDERS, &message.orders, MAX_ORDERS, put_order);
    put_section(out, ACKS, &message.acks, MAX_ACKS, put_ack);
    put_section(out, CONFIG_ASK, message.config_ask.as_slice(), 1, |out, ask| {
        out.extend_from_slice(&ask.target.0.to_be_bytes());
        put_varint(out, u64::from(ask.page));
    });
    put_section(out, CONFIG_PAGE, message.config_page.as_slice(), 1, |out, page| {
        out.extend_from_slice(&page.issuer.0.to_be_bytes());
        put_varint(out, u64::from(page.page));
        put_varint(out, u64::from(page.pages));
    });
    put_section(out, CONFIG_ENTRIES, &message.config_entries, MAX_ENTRIES, |out, entry| {
        put_text(out, &entry.name, MAX_ENTRY_NAME);
        out.extend_from_slice(&entry.fingerprint.to_be_bytes());
    });
}

/// Appends a section of the first `most` records; an empty one is left out.
fn put_section<T>(out: &mut Vec<u8>, kind: u8, records: &[T], most: usize, put: fn(&mut Vec<u8>, &T)) {
    if records.is_empty() {
        return;
    }
    out.push(kind);
    put_block(out, |out| {
        for record in records.iter().take(most) {
            put_block(out, |out| put(out, record));
        }
    });
}

fn put_echo(out: &mut Vec<u8>, echo: &Echo) {
    out.extend_from_slice(&echo.node.0.to_be_bytes());
    out.extend_from_slice(&echo.boot.to_be_bytes());
    put_varint(out, echo.incarnation);
    put_varint(out, echo.links);
    if echo.heard != 0 {
        put_varint(out, u64::from(echo.heard));
    }
}

fn put_group(out: &mut Vec<u8>, group: &GroupReport) {
    let mut bits = group_state_bits(group.state);
    for (set, bit) in [
        (group.able, ABLE),
        (group.failed, FAILED),
        (group.declined, DECLINED),
        (group.to.is_some(), HAS_TO),
        (group.failures != 0, HAS_FAILURES),
    ] {
        if set {
            bits |= bit;
        }
    }
    out.extend_from_slice(&group.id.0.to_be_bytes());
    out.push(bits);
    put_varint(out, group.epoch);
    if group.failures != 0 {
        put_varint(out, u64::from(group.failures));
    }
    if let Some(NodeId(to)) = group.to {
        out.extend_from_slice(&to.to_be_bytes());
    }
    let fence = match group.fence {
        None => 0,
        Some(false) => SAYS_FENCE,
        Some(true) => SAYS_FENCE | FENCE,
    };
    let more = fence | if group.wrong { WRONG } else { 0 };
    if more != 0 {
        out.push(more);
    }
}

fn put_order(out: &mut Vec<u8>, order: &Order) {
    let (kind, group, to) = match order.kind {
        OrderKind::Standby => (STANDBY_ORDER, None, None),
        OrderKind::Online => (ONLINE, None, None),
        OrderKind::Give { group, to } => (GIVE, Some(group), Some(to)),
        OrderKind::Cleanup { group: None } => (CLEANUP_ALL, None, None),
        OrderKind::Cleanup { group } => (CLEANUP_GROUP, group, None),
    };
    put_varint(out, u64::from(order.id));
    out.extend_from_slice(&order.target.0.to_be_bytes());
    out.push(kind);
    put_text(out, &order.by, MAX_BY);
    if let Some(GroupId(group)) = group {
        out.extend_from_slice(&group.to_be_bytes());
    }
    if let Some(NodeId(to)) = to {
        out.extend_from_slice(&to.to_be_bytes());
    }
}

fn put_ack(out: &mut Vec<u8>, ack: &OrderAck) {
    out.extend_from_slice(&ack.issuer.0.to_be_bytes());
    put_varint(out, u64::from(ack.id));
    match &ack.refused {
        None => out.push(ACCEPTED),
        Some(why) => {
            out.push(REFUSED);
            put_text(out, why, MAX_REFUSED);
        }
    }
}

/// Reads a whole body.
///
/// # Errors
/// Whatever is not as this file's picture says. Never panics, whatever the bytes.
pub(crate) fn read_body(body: &[u8]) -> Result<Message, Malformed> {
    let mut reader = Reader::new(body);
    let from = reader.text("name", MAX_NODE_NAME)?;
    if from.is_empty() {
        return Err(Malformed { field: "name", fault: Fault::Empty });
    }
    let incarnation = reader.varint("incarnation")?;
    let boot = reader.u64("boot")?;
    let sequence = reader.varint("sequence")?;
    let flags = reader.u8("flags")?;
    let version = reader.varint_as("maintenance")?;
    let mut message = Message {
        from,
        incarnation,
        boot,
        sequence,
        state: node_state(flags & STATE),
        standby: flags & STANDBY != 0,
        maintenance: Maintenance { version, on: flags & MAINTENANCE != 0 },
        config_digest: reader.u64("config")?,
        pings_seen: reader.u8("pings seen")?,
        pings_total: reader.u8("pings total")?,
        echoes: Vec::new(),
        groups: Vec::new(),
        orders: Vec::new(),
        acks: Vec::new(),
        config_ask: None,
        config_page: None,
        config_entries: Vec::new(),
    };
    read_sections(&mut reader, &mut message)?;
    Ok(message)
}

fn read_sections(reader: &mut Reader<'_>, message: &mut Message) -> Result<(), Malformed> {
    let mut last = 0;
    while !reader.is_empty() {
        let kind = reader.u8("section")?;
        if kind <= last {
            return Err(Malformed { field: "section", fault: Fault::OutOfOrder });
        }
        last = kind;
        let section = reader.block("section")?;
        match kind {
            ECHOES => message.echoes = read_records(section, "echo", MAX_ECHOES, |r| read_echo(r).map(Some))?,
            GROUPS => {
                message.groups = read_records(section, "group", MAX_GROUPS, |r| read_group(r).map(Some))?
            }
            ORDERS => message.orders = read_records(section, "order", MAX_ORDERS, read_order)?,
            ACKS => message.acks = read_records(section, "ack", MAX_ACKS, read_ack)?,
            CONFIG_ASK => {
                message.config_ask =
                    read_records(section, "config ask", 1, |r| read_config_ask(r).map(Some))?.pop();
            }
            CONFIG_PAGE => {
                message.config_page =
                    read_records(section, "config page", 1, |r| read_config_page(r).map(Some))?.pop();
            }
            CONFIG_ENTRIES => {
                message.config_entries =
                    read_records(section, "config entry", MAX_ENTRIES, |r| read_config_entry(r).map(Some))?;
            }
            _ => {} // of a newer minor version
        }
    }
    Ok(())
}

/// Reads the records of a section; one for which `read` gives `None` is of a newer minor version
/// and left out.
fn read_records<T>(
    mut section: Reader<'_>,
    field: &'static str,
    most: usize,
    read: fn(&mut Reader<'_>) -> Result<Option<T>, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut records = Vec::new();
    let mut count = 0;
    while !section.is_empty() {
        count += 1;
        if count > most {
            return Err(Malformed { field, fault: Fault::TooMany });
        }
        records.extend(read(&mut section.block(field)?)?);
    }
    Ok(records)
}

fn read_echo(record: &mut Reader<'_>) -> Result<Echo, Malformed> {
    Ok(Echo {
        node: NodeId(record.u32("echo node")?),
        boot: record.u64("echo boot")?,
        incarnation: record.varint("echo incarnation")?,
        links: record.varint("echo links")?,
        heard: if record.is_empty() { 0 } else { record.varint_as("echo heard")? },
    })
}

fn read_group(record: &mut Reader<'_>) -> Result<GroupReport, Malformed> {
    let id = GroupId(record.u32("group id")?);
    let bits = record.u8("group bits")?;
    let state =
        group_state(bits & GROUP_STATE).ok_or(Malformed { field: "group state", fault: Fault::Unknown })?;
    let epoch = record.varint("group epoch")?;
    let failures = if bits & HAS_FAILURES != 0 { record.varint_as("group failures")? } else { 0 };
    let to = if bits & HAS_TO != 0 { Some(NodeId(record.u32("group to")?)) } else { None };
    let more = if record.is_empty() { 0 } else { record.u8("group more")? };
    Ok(GroupReport {
        id,
        state,
        epoch,
        failures,
        able: bits & ABLE != 0,
        failed: bits & FAILED != 0,
        declined: bits & DECLINED != 0,
        to,
        fence: (more & SAYS_FENCE != 0).then_some(more & FENCE != 0),
        wrong: more & WRONG != 0,
    })
}

/// `None`: an order of a kind this version does not know. It is never acknowledged, so that its
/// issuer sees that nobody took it.
fn read_order(record: &mut Reader<'_>) -> Result<Option<Order>, Malformed> {
    let id = record.varint_as("order id")?;
    let target = NodeId(record.u32("order target")?);
    let kind = record.u8("order kind")?;
    let by = record.text("order by", MAX_BY)?;
    let kind = match kind {
        STANDBY_ORDER => OrderKind::Standby,
        ONLINE => OrderKind::Online,
        GIVE => OrderKind::Give {
            group: GroupId(record.u32("order group")?),
            to: NodeId(record.u32("order to")?),
        },
        CLEANUP_ALL => OrderKind::Cleanup { group: None },
        CLEANUP_GROUP => OrderKind::Cleanup { group: Some(GroupId(record.u32("order group")?)) },
        _ => return Ok(None),
    };
    Ok(Some(Order { id, target, kind, by }))
}

/// `None`: a verdict this version does not know.
fn read_ack(record: &mut Reader<'_>) -> Result<Option<OrderAck>, Malformed> {
    let issuer = NodeId(record.u32("ack issuer")?);
    let id = record.varint_as("ack id")?;
    let refused = match record.u8("ack verdict")? {
        ACCEPTED => None,
        REFUSED => Some(record.text("ack text", MAX_REFUSED)?),
        _ => return Ok(None),
    };
    Ok(Some(OrderAck { issuer, id, refused }))
}

fn read_config_ask(record: &mut Reader<'_>) -> Result<ConfigAsk, Malformed> {
    let target = NodeId(record.u32("config ask target")?);
    Ok(ConfigAsk { target, page: record.varint_as("config ask page")? })
}

fn read_config_page(record: &mut Reader<'_>) -> Result<ConfigPage, Malformed> {
    let issuer = NodeId(record.u32("config page issuer")?);
    let (page, pages) = (record.varint_as("config page")?, record.varint_as("config pages")?);
    Ok(ConfigPage { issuer, page, pages })
}

fn read_config_entry(record: &mut Reader<'_>) -> Result<ConfigEntry, Malformed> {
    let name = record.text("config entry name", MAX_ENTRY_NAME)?;
    Ok(ConfigEntry { name, fingerprint: record.u32("config entry fingerprint")? })
}

fn node_state_bits(state: NodeState) -> u8 {
    match state {
        NodeState::Joining => 0,
        NodeState::Up => 1,
        NodeState::Leaving => 2,
        NodeState::Left => 3,
    }
}

/// Two bits, four states: none is without a meaning.
fn node_state(bits: u8) -> NodeState {
    match bits & STATE {
        0 => NodeState::Joining,
        1 => NodeState::Up,
        2 => NodeState::Leaving,
        _ => NodeState::Left,
    }
}

fn group_state_bits(state: GroupState) -> u8 {
    match state {
        GroupState::Stopped => 0,
        GroupState::Starting => 1,
        GroupState::Started => 2,
        GroupState::Stopping => 3,
        GroupState::Released => 4,
        GroupState::Blocked => 5,
    }
}

fn group_state(bits: u8) -> Option<GroupState> {
    Some(match bits {
        0 => GroupState::Stopped,
        1 => GroupState::Starting,
        2 => GroupState::Started,
        3 => GroupState::Stopping,
        4 => GroupState::Released,
        5 => GroupState::Blocked,
        _ => return None,
    })
}
