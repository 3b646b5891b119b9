//! Giving up what a process may do.

use std::io;

use openshell_types::Identity;
use rustix::process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::sys;

/// Makes the supervisor an ordinary process: with a block of ids its uid and gid become the
/// block's last one, which no jail maps, with no capability and no way back. As a plain user there
/// is nothing to give up.
///
/// For a process with one thread, after [`crate::build`]. It cannot be dumped or traced by others
/// afterwards.
pub fn drop_privileges(identity: Identity) -> io::Result<()> {
    let Identity::Block { start } = identity else {
        return set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Into::into);
    };
    if !sys::is_single_threaded() {
        // SECURITY: ids are a thread's own; the other threads would stay root.
        return Err(io::Error::other("privileges are dropped before the first thread starts"));
    }
    let own = start
        .checked_add(Identity::BLOCK - 1)
        .ok_or_else(|| io::Error::other("the block of ids ends beyond the last id"))?;
    become_user(own)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Into::into)
}

/// Leaves every group, becomes user and group `id`, and empties every capability set for good.
pub(crate) fn become_user(id: u32) -> io::Result<()> {
    set_thread_groups(&[])?;
    let gid = Gid::from_raw(id);
    set_thread_res_gid(gid, gid, gid)?;
    seal_capability_bounds()?;
    let uid = Uid::from_raw(id);
    set_thread_res_uid(uid, uid, uid)?;
    drop_capabilities()
}

/// Empties the bounding set and locks the bits that give a user of id 0 capabilities.
pub(crate) fn seal_capability_bounds() -> io::Result<()> {
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    set_capabilities_secure_bits(bits)?;
    for capability in (0..u64::BITS).map(|bit| 1 << bit) {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(capability)) {
            Ok(()) => {}
            // Beyond the last capability that this kernel has.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Empties the effective, permitted, inheritable and ambient sets.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    clear_ambient_capability_set()?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(Into::into)
}
