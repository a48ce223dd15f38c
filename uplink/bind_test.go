package uplink

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// rawFD is a socket as a dialer hands it to its Control function.
type rawFD uintptr

func (r rawFD) Control(f func(uintptr)) error { f(uintptr(r)); return nil }
func (rawFD) Read(func(uintptr) bool) error   { return errors.ErrUnsupported }
func (rawFD) Write(func(uintptr) bool) error  { return errors.ErrUnsupported }
func nobody() (uid uintptr)                   { return 65534 }

// The agent has no privilege; a socket leaves by an interface all the same.
func TestBindNeedsNoPrivilege(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		if os.Geteuid() == 0 {
			// This thread alone, which is why it is no call of package syscall.
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody(), nobody(), nobody()); errno != 0 {
				t.Errorf("give up root: %v", errno)
				return
			}
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, 1); !errors.Is(err, unix.EPERM) {
			t.Errorf("the thread is still privileged: SO_MARK %v", err)
		}
		lo := &route{Path: Path{Interface: "lo"}}
		if err := lo.bind("", "", rawFD(fd)); err != nil {
			t.Errorf("bind to lo: %v", err)
		}
		if name, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE); err != nil || name != "lo" {
			t.Errorf("bound to %q, %v", name, err)
		}
	}()
	<-done
}
