//! The table of C functions between SQLite and its own VFS for Unix.
//!
//! Every file is a [`Handle`], followed in the same piece of memory by the file of the real VFS.

use crate::platter::Inode;
use crate::{Deed, Failure, Inner, Verdict, wait};
use rusqlite::ffi;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};

/// The disks of this process. Files elsewhere are passed on untouched.
static DISKS: Mutex<Vec<Arc<Inner>>> = Mutex::new(Vec::new());

static REAL: OnceLock<Real> = OnceLock::new();

/// SQLite's own VFS.
struct Real(*mut ffi::sqlite3_vfs);
// SAFETY: SQLite never changes nor frees a VFS that is registered, and calls it from many threads itself.
unsafe impl Send for Real {}
// SAFETY: as above.
unsafe impl Sync for Real {}

pub(crate) fn add(disk: Arc<Inner>) {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(register);
    DISKS.lock().unwrap_or_else(PoisonError::into_inner).push(disk);
}

pub(crate) fn remove(disk: &Arc<Inner>) {
    DISKS.lock().unwrap_or_else(PoisonError::into_inner).retain(|d| !Arc::ptr_eq(d, disk));
}

fn disk_of(path: &Path) -> Option<Arc<Inner>> {
    DISKS.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|d| d.holds(path)).cloned()
}

fn register() {
    // SAFETY: the default VFS is asked for after SQLite was initialised; it is valid for the process. Its table is copied, and the functions
    // that stay are used with the copy: they ask it for nothing but what was copied. The copy is never freed.
    unsafe {
        assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK);
        let real = ffi::sqlite3_vfs_find(ptr::null());
        assert!(!real.is_null(), "SQLite has no VFS");
        let mut ours = *real;
        let size = c_int::try_from(size_of::<Handle>()).expect("a handle is small");
        ours.szOsFile += size;
        ours.pNext = ptr::null_mut();
        ours.zName = c"faulty-disk".as_ptr();
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        ours.xAccess = Some(access);
        assert!(REAL.set(Real(real)).is_ok(), "registered twice");
        assert_eq!(ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1), ffi::SQLITE_OK);
    }
}

fn real() -> *mut ffi::sqlite3_vfs {
    REAL.get().expect("it is set before this VFS is registered").0
}

#[repr(C, align(8))]
struct Handle {
    base: ffi::sqlite3_file,
    /// Null for a file on no disk of ours.
    on: *mut OnDisk,
}

/// A file on a faulty disk.
struct OnDisk {
    disk: Arc<Inner>,
    inode: Inode,
    path: PathBuf,
    /// The first sync of a log or a journal is one of its folder as well.
    sync_folder: bool,
}

/// # Safety
/// `file` was opened by [`open`].
unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `szOsFile` made room for both, one after the other.
    unsafe { file.cast::<u8>().add(size_of::<Handle>()).cast() }
}

/// # Safety
/// `file` was opened by [`open`] and is used by one thread at a time, as SQLite does.
unsafe fn on_disk<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a mut OnDisk> {
    // SAFETY: `on` is null or comes from `Box::into_raw` and lives until `close`.
    unsafe { (*file.cast::<Handle>()).on.as_mut() }
}

/// # Safety
/// `name` is null or a C string.
unsafe fn path_of<'a>(name: *const c_char) -> Option<&'a Path> {
    if name.is_null() {
        return None;
    }
    // SAFETY: by contract.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    Some(Path::new(OsStr::from_bytes(bytes)))
}

/// Calls a function of the real file, with its other arguments.
macro_rules! pass {
    ($file:expr, $name:ident $(, $arg:expr)*) => {{
        // SAFETY: SQLite calls with a file that `open` opened, and the arguments that this function wants.
        unsafe {
            let inner = inner($file);
            match (*(*inner).pMethods).$name {
                Some(f) => f(inner $(, $arg)*),
                None => unreachable!("the VFS for Unix has all functions of version 3"),
            }
        }
    }};
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let handle = file.cast::<Handle>();
    // SAFETY: SQLite gives room of `szOsFile` bytes, aligned for any type. Without methods it is not closed after a failure.
    unsafe {
        (*handle).base.pMethods = ptr::null();
        (*handle).on = ptr::null_mut();
    }
    // SAFETY: a C string or null.
    let path = unsafe { path_of(name) };
    let disk = path.and_then(|p| Some((disk_of(p)?, p)));
    let mut on = None;
    if let Some((disk, path)) = disk {
        let mut state = disk.state();
        if state.is_dead() {
            return ffi::SQLITE_CANTOPEN;
        }
        let inode = match state.platter.find(path) {
            Some(inode) => inode,
            None if flags & ffi::SQLITE_OPEN_CREATE == 0 => return ffi::SQLITE_CANTOPEN,
            None => match state.judge(Deed::Create) {
                Verdict::Done => state.platter.create(path),
                Verdict::Cut => {
                    state.platter.create(path);
                    return ffi::SQLITE_CANTOPEN;
                }
                Verdict::Fails(_) | Verdict::Dead => return ffi::SQLITE_CANTOPEN,
            },
        };
        let log = flags & (ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL) != 0;
        let sync_folder = log && flags & ffi::SQLITE_OPEN_CREATE != 0;
        drop(state);
        on = Some(OnDisk { disk, inode, path: path.to_owned(), sync_folder });
    }
    // SAFETY: the arguments are SQLite's; the real file lies behind our handle.
    let code = unsafe {
        let open = (*real()).xOpen.expect("every VFS opens");
        open(real(), name, inner(file), flags, out)
    };
    if code == ffi::SQLITE_OK {
        if let Some(on) = &on {
            on.disk.state().handles += 1;
        }
        // SAFETY: as above.
        unsafe {
            (*handle).on = on.map_or(ptr::null_mut(), |on| Box::into_raw(Box::new(on)));
            (*handle).base.pMethods = &raw const METHODS;
        }
    }
    code
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: a C string.
    let path = unsafe { path_of(name) };
    let pass = |sync| {
        // SAFETY: the arguments are SQLite's.
        unsafe { (*real()).xDelete.expect("every VFS deletes")(real(), name, sync) }
    };
    let Some((disk, path)) = path.and_then(|p| Some((disk_of(p)?, p))) else { return pass(sync_folder) };
    let mut state = disk.state();
    if state.is_dead() {
        return ffi::SQLITE_IOERR_DELETE;
    }
    if state.platter.find(path).is_none() {
        return pass(0);
    }
    match state.judge(Deed::Delete) {
        Verdict::Done => {
            state.platter.delete(path);
            if sync_folder != 0 {
                state.platter.sync_folder(path);
            }
            pass(0)
        }
        Verdict::Cut => {
            state.platter.delete(path);
            ffi::SQLITE_IOERR_DELETE
        }
        Verdict::Fails(_) | Verdict::Dead => ffi::SQLITE_IOERR_DELETE,
    }
}

unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, name: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: a C string.
    let path = unsafe { path_of(name) };
    if path.and_then(disk_of).is_some_and(|d| d.state().is_dead()) {
        return ffi::SQLITE_IOERR_ACCESS;
    }
    // SAFETY: the arguments are SQLite's.
    unsafe { (*real()).xAccess.expect("every VFS knows")(real(), name, flags, out) }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let code = pass!(file, xClose);
    // SAFETY: opened by `open`, and closed once.
    unsafe {
        let handle = file.cast::<Handle>();
        if !(*handle).on.is_null() {
            let on = Box::from_raw((*handle).on);
            (*handle).on = ptr::null_mut();
            on.disk.state().handles -= 1;
        }
    }
    code
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, n: c_int, at: i64) -> c_int {
    // SAFETY: opened by `open`.
    if unsafe { on_disk(file) }.is_some_and(|on| on.disk.state().is_dead()) {
        return ffi::SQLITE_IOERR_READ;
    }
    pass!(file, xRead, to, n, at)
}

fn write_code(failure: Failure) -> c_int {
    match failure {
        Failure::Io => ffi::SQLITE_IOERR_WRITE,
        Failure::Full => ffi::SQLITE_FULL,
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, n: c_int, at: i64) -> c_int {
    // SAFETY: opened by `open`.
    let Some(on) = (unsafe { on_disk(file) }) else { return pass!(file, xWrite, from, n, at) };
    let (len, offset) = (usize::try_from(n).unwrap_or(0), usize::try_from(at).unwrap_or(0));
    // SAFETY: SQLite gives n bytes.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), len) };
    let mut state = on.disk.state();
    match state.judge(Deed::Write) {
        Verdict::Done => {
            state.platter.write(on.inode, offset, bytes);
            pass!(file, xWrite, from, n, at)
        }
        Verdict::Fails(failure) => {
            // As far as it came.
            let half = n / 2;
            state.platter.write(on.inode, offset, &bytes[..len / 2]);
            let code = if half > 0 { pass!(file, xWrite, from, half, at) } else { ffi::SQLITE_OK };
            if code == ffi::SQLITE_OK { write_code(failure) } else { code }
        }
        Verdict::Cut => {
            state.platter.write(on.inode, offset, bytes);
            ffi::SQLITE_IOERR_WRITE
        }
        Verdict::Dead => ffi::SQLITE_IOERR_WRITE,
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: opened by `open`.
    let Some(on) = (unsafe { on_disk(file) }) else { return pass!(file, xTruncate, size) };
    let to = usize::try_from(size).unwrap_or(0);
    let mut state = on.disk.state();
    match state.judge(Deed::Truncate) {
        Verdict::Done => {
            state.platter.truncate(on.inode, to);
            pass!(file, xTruncate, size)
        }
        Verdict::Cut => {
            state.platter.truncate(on.inode, to);
            ffi::SQLITE_IOERR_TRUNCATE
        }
        Verdict::Fails(_) | Verdict::Dead => ffi::SQLITE_IOERR_TRUNCATE,
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: opened by `open`.
    let Some(on) = (unsafe { on_disk(file) }) else { return pass!(file, xSync, flags) };
    let mut state = on.disk.state();
    let takes = state.sync_takes;
    match state.judge(Deed::Sync) {
        Verdict::Done => {}
        Verdict::Fails(_) => {
            state.platter.forget(on.inode);
            return ffi::SQLITE_IOERR_FSYNC;
        }
        Verdict::Cut | Verdict::Dead => return ffi::SQLITE_IOERR_FSYNC,
    }
    drop(state);
    wait(takes);
    let mut state = on.disk.state();
    state.platter.sync(on.inode);
    if on.sync_folder {
        state.platter.sync_folder(&on.path);
        on.sync_folder = false;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: opened by `open`.
    if unsafe { on_disk(file) }.is_some_and(|on| on.disk.state().is_dead()) {
        return ffi::SQLITE_IOERR_FSTAT;
    }
    pass!(file, xFileSize, out)
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    pass!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    pass!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    pass!(file, xCheckReservedLock, out)
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, what: c_int, arg: *mut c_void) -> c_int {
    pass!(file, xFileControl, what, arg)
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    pass!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    pass!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(file: *mut ffi::sqlite3_file, page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int {
    pass!(file, xShmMap, page, size, extend, out)
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    pass!(file, xShmLock, offset, n, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    pass!(file, xShmBarrier);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    pass!(file, xShmUnmap, delete)
}

/// No mapping of files into memory: every read and write is to come by.
unsafe extern "C" fn fetch(_: *mut ffi::sqlite3_file, _: i64, _: c_int, out: *mut *mut c_void) -> c_int {
    // SAFETY: SQLite gives room for the pointer.
    unsafe { *out = ptr::null_mut() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn unfetch(_: *mut ffi::sqlite3_file, _: i64, _: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}
