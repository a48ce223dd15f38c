package offline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gateagent/internal/durable"
)

const lockName = "agent.lock"

// prepareDir makes the state folder, or takes the rights of everybody else
// away from one that is there.
func prepareDir(dir string) error {
	if dir == "" {
		return errors.New("offline: no state folder is configured")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("state folder %s: %w", dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("state folder %s: %w", dir, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("state folder %s is open to others (mode %04o) and cannot be closed: %w; give it to the agent's user with mode 0700", dir, info.Mode().Perm(), err)
		}
	}
	return durable.SyncDir(filepath.Dir(filepath.Clean(dir)))
}

// lockDir takes the state folder for this process. The kernel lets go of the
// lock when the process ends, however it ends, so no stale lock is possible.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state folder: %w; it must belong to the agent's user, on a file system that is mounted writable", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		holder := lockHolder(f)
		return nil, errors.Join(fmt.Errorf("%w: %s is held by the agent with %s; stop that one first", ErrInUse, dir, holder), f.Close())
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "pid %d\n", os.Getpid()), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

// unlockDir lets go of the state folder. Closing alone would not where another
// goroutine is just starting a program: until its exec that has a copy of our
// file, and with it the lock.
func unlockDir(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

// lockHolder reads who holds the lock. The holder writes its pid just after
// it took the lock, so an empty file is looked at a few times more.
func lockHolder(f *os.File) string {
	buf := make([]byte, 64)
	for range 10 {
		n, _ := f.ReadAt(buf, 0) // a short read is what is expected here
		if s := strings.TrimSpace(string(buf[:n])); strings.HasPrefix(s, "pid ") {
			return s
		}
		time.Sleep(10 * time.Millisecond)
	}
	return "an unknown pid"
}
