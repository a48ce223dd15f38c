package pcsc

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrLocked says that another process drives the reader.
var ErrLocked = errors.New("the card reader is in use")

// daemonSocket is the variable from which libpcsclite takes its daemon. The
// same reader name at two daemons is two readers.
const daemonSocket = "PCSCLITE_CSOCK_NAME"

// ReaderLock keeps other processes of ours from one reader.
type ReaderLock struct{ file *os.File }

// Lock takes the lock of a reader, named as Readers names it, in the folder
// dir, or refuses at once with ErrLocked. The kernel frees it (flock(2)) when
// the holder ends, however it ends. The file stays: to remove it would let two
// hold the lock.
func Lock(dir, reader string) (*ReaderLock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("lock card reader %q: %w: create the folder, or name another", reader, err)
	}
	path := filepath.Join(dir, lockName(reader))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if errors.Is(err, fs.ErrPermission) {
		// Another user's lane made it. To lock, reading is enough.
		f, err = os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("lock card reader %q: %w: run as the user of the agent or as root", reader, err)
	}
	if err := flock(f); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("card reader %q: %w by %s: stop it, or name another reader", reader, ErrLocked, holder(f))
		}
		return nil, fmt.Errorf("lock card reader %q: %s: %w", reader, path, err)
	}
	// For the message of whoever is refused; the lock itself does not need it.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &ReaderLock{file: f}, nil
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// sameFolder says whether two names lead to one folder, where the second lock
// would be refused by the first.
func sameFolder(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	one, err1 := os.Stat(a)
	two, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(one, two)
}

// holder names who holds the lock, as far as the file says.
func holder(f *os.File) string {
	var text [16]byte
	n, _ := f.ReadAt(text[:], 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return "another process"
	}
	if pid == os.Getpid() {
		return "this process"
	}
	return "process " + strconv.Itoa(pid)
}

// lockName keeps what a file name may hold, for people, and a digest, because
// two names may keep the same.
func lockName(reader string) string {
	readable := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return c
		}
		return '-'
	}, reader)
	digest := sha256.Sum256([]byte(os.Getenv(daemonSocket) + "\x00" + reader))
	const readableMax = 64
	return "reader-" + readable[:min(len(readable), readableMax)] + "-" + hex.EncodeToString(digest[:4]) + ".lock"
}

// Release frees the lock.
func (l *ReaderLock) Release() error { return l.file.Close() }
