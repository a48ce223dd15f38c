package central

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"gateagent/central/repo"
	"gateagent/gate/wire"
)

// watchAgain is how often a watch is tried that could not be set up: before
// the first root ceremony there is no folder.
const watchAgain = 5 * time.Second

// maxEvents is room for what happens while a step is under way; what the
// kernel cannot queue it says, and one event is as good as many.
const maxEvents = 4 << 10

// changes tells of everything that a command puts into the folders of a
// repository, at once (inotify(7)). A change that is not told, because the
// kernel has no watch left or the folder lies on a network, is found by the
// look that comes anyway.
func changes(ctx context.Context, dir string) <-chan struct{} {
	out := make(chan struct{}, 1)
	go func() {
		for ctx.Err() == nil {
			f, err := watch(filepath.Join(dir, wire.RepoMetadata), filepath.Join(dir, repo.PendingFolder))
			if err == nil {
				tell(ctx, f, out)
			}
			select {
			case <-ctx.Done():
			case <-time.After(watchAgain):
			}
		}
	}()
	return out
}

// watch begins to watch folders for files that are put in place, as durable
// files are: under another name first, then renamed.
func watch(folders ...string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "inotify")
	for _, folder := range folders {
		if _, err := unix.InotifyAddWatch(fd, folder, unix.IN_MOVED_TO|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_ONLYDIR); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// tell passes on that something happened, until a folder is gone or ctx ends.
func tell(ctx context.Context, f *os.File, out chan<- struct{}) {
	stop := context.AfterFunc(ctx, func() { _ = f.Close() })
	defer func() {
		if stop() {
			_ = f.Close() // nothing was written
		}
	}()
	buf := make([]byte, maxEvents)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return
		}
		select {
		case out <- struct{}{}:
		default:
		}
		if gone(buf[:n]) {
			return
		}
	}
}

// gone says whether a watched folder is no longer there; it is watched anew
// then.
func gone(events []byte) bool {
	order := binary.NativeEndian
	for len(events) >= unix.SizeofInotifyEvent {
		mask, length := order.Uint32(events[4:]), order.Uint32(events[12:]) // of struct inotify_event
		if mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED) != 0 {
			return true
		}
		events = events[min(uint64(len(events)), unix.SizeofInotifyEvent+uint64(length)):]
	}
	return false
}
