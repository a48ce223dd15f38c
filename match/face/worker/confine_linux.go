package worker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// noDumps forbids core dumps and other processes' looks into this one, before
// anything secret is in memory.
func noDumps() error {
	if err := unix.Prlimit(0, unix.RLIMIT_CORE, &unix.Rlimit{}, nil); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// closeInherited closes files that the agent, or whoever started it, left
// open for its children by mistake.
func closeInherited() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 {
			continue
		}
		// The Go runtime's own are no files of the system.
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(to, "anon_inode:") {
			unix.Close(fd)
		}
	}
	return nil
}

// confine leaves the process nothing but computing, memory and the files that
// are open: no opening, no sockets, no programs, no new memory that can be
// executed. It holds for all threads and for ever. room is the address space
// that may yet be taken.
func confine(room uint64) error {
	used, err := addressSpace()
	if err != nil {
		return err
	}
	limit := unix.Rlimit{Cur: used + room, Max: used + room}
	if err := unix.Prlimit(0, unix.RLIMIT_AS, &limit, nil); err != nil {
		return fmt.Errorf("limit of address space: %w", err)
	}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 32, Max: 32}, nil); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	if err := unix.Prlimit(0, unix.RLIMIT_FSIZE, &unix.Rlimit{}, nil); err != nil {
		return fmt.Errorf("limit of file size: %w", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	filter, err := program()
	if err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return fmt.Errorf("system call filter: %w", errno)
	}
	if thread != 0 {
		return fmt.Errorf("system call filter: thread %d does not take it", thread)
	}
	return nil
}

// addressSpace is what this process has now, proc_pid_statm(5).
func addressSpace() (uint64, error) {
	f, err := openStatm()
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.pages(0)
}

// statm is the kernel's account of this process's memory. It is opened before
// the confinement; the parent may not be allowed to look for itself.
type statm struct{ *os.File }

func openStatm() (statm, error) {
	f, err := os.Open("/proc/self/statm")
	return statm{f}, err
}

// pages gives one of its numbers in bytes: 0 the address space, 1 what is
// resident.
func (s statm) pages(which int) (uint64, error) {
	var b [128]byte
	n, err := s.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("own memory: %w", err)
	}
	f := strings.Fields(string(b[:n]))
	if len(f) <= which {
		return 0, errors.New("own memory: the kernel gives no number")
	}
	pages, err := strconv.ParseUint(f[which], 10, 64)
	return pages * uint64(os.Getpagesize()), err
}
