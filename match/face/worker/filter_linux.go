package worker

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data, seccomp(2). Arguments are 64 bits wide; on
// the little-endian machines that are supported the low half comes first.
const (
	dataNumber    = 0
	dataMachine   = 4
	dataArguments = 16
)

func argument(n uint32) uint32 { return dataArguments + 8*n }

// always are the system calls that a Go program with native threads makes to
// compute, take memory and use open files.
var always = []uint32{
	unix.SYS_READ, unix.SYS_PREAD64, unix.SYS_WRITE, unix.SYS_CLOSE,
	unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MADVISE, unix.SYS_BRK,
	unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY,
	unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_RESTART_SYSCALL,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
	unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CTL,
	unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_GETRANDOM,
}

// never are calls that nothing in the worker makes by mistake: whoever makes
// them has taken it over, and the process dies.
var never = []uint32{
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_BPF, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_MOUNT, unix.SYS_UNSHARE, unix.SYS_SETNS,
}

const (
	opLoad   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opEqual  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opAll    = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	opReturn = unix.BPF_RET | unix.BPF_K

	refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	absent = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

func op(code uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: code, Jt: yes, Jf: no, K: k}
}

// answer gives what happens to calls with one of the given numbers.
func answer(numbers []uint32, what uint32) []unix.SockFilter {
	var out []unix.SockFilter
	for _, n := range numbers {
		out = append(out, op(opEqual, n, 0, 1), op(opReturn, what, 0, 0))
	}
	return out
}

// when gives a call its own little program, which must end in a return.
func when(number uint32, then ...unix.SockFilter) []unix.SockFilter {
	return append([]unix.SockFilter{op(opEqual, number, 0, uint8(len(then)))}, then...)
}

// program is the filter: a list of what is allowed, and everything else is
// refused.
func program() ([]unix.SockFilter, error) {
	if machine == 0 {
		return nil, errors.New("there is no system call filter for this processor")
	}
	allow, kill := op(opReturn, unix.SECCOMP_RET_ALLOW, 0, 0), op(opReturn, unix.SECCOMP_RET_KILL_PROCESS, 0, 0)
	no := op(opReturn, refuse, 0, 0)
	out := []unix.SockFilter{op(opLoad, dataMachine, 0, 0), op(opEqual, machine, 1, 0), kill, op(opLoad, dataNumber, 0, 0)}
	out = append(out, answer(always, unix.SECCOMP_RET_ALLOW)...)
	out = append(out, answer(local, unix.SECCOMP_RET_ALLOW)...)
	out = append(out, answer(never, unix.SECCOMP_RET_KILL_PROCESS)...)
	// glibc takes clone instead, whose flags can be seen: threads, no
	// processes.
	out = append(out, answer([]uint32{unix.SYS_CLONE3}, absent)...)
	out = append(out, when(unix.SYS_CLONE, op(opLoad, argument(0), 0, 0), op(opAll, unix.CLONE_THREAD, 0, 1), allow, no)...)
	for _, n := range []uint32{unix.SYS_MMAP, unix.SYS_MPROTECT} {
		out = append(out, when(n, op(opLoad, argument(2), 0, 0), op(opAll, unix.PROT_EXEC, 1, 0), allow, no)...)
	}
	// Signals go to this process only, and limits can be read only.
	out = append(out, when(unix.SYS_TGKILL, op(opLoad, argument(0), 0, 0), op(opEqual, uint32(os.Getpid()), 0, 1), allow, no)...)
	out = append(out, when(unix.SYS_PRLIMIT64,
		op(opLoad, argument(2), 0, 0), op(opEqual, 0, 0, 3),
		op(opLoad, argument(2)+4, 0, 0), op(opEqual, 0, 0, 1), allow, no)...)
	return append(out, no), nil
}
