package worker

import "golang.org/x/sys/unix"

const machine = unix.AUDIT_ARCH_X86_64

// local are the calls that only this processor's Linux has.
var local = []uint32{unix.SYS_EPOLL_WAIT, unix.SYS_GETRLIMIT}
