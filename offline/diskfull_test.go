package offline

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace runs the named test again in a mount namespace of its own, so
// that it may mount a small disk that nobody else sees.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(roleEnv) == "namespace" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), roleEnv+"=namespace")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("in its own mount namespace: %v", err)
	}
	return false
}

// smallDisk mounts a tmpfs of some bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// ballast fills the disk up to a rest.
func ballast(t *testing.T, dir string, rest int64) string {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ballast")
	if n := int64(fs.Bavail)*fs.Bsize - rest; n > 0 {
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// A disk that fills up refuses the new record whole, names path and remedy,
// keeps the old ones readable, and works again when space is freed; wherever
// in a commit the last page was used up.
func TestDiskFull(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	dir := smallDisk(t, 8<<20)
	o := open(t, Config{Dir: filepath.Join(dir, "state")})
	appendAll(t, o, admit(0))
	next, want := 1, uint64(1)
	for rest := int64(0); rest < 80<<10; rest += 4 << 10 {
		full := ballast(t, dir, rest)
		var err error
		for range 1000 {
			if _, err = o.Append(t.Context(), admit(next)); err != nil {
				break
			}
			next, want = next+1, want+1
		}
		if !errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), o.path) || !strings.Contains(err.Error(), "free space") {
			t.Fatalf("rest %d: Append = %v", rest, err)
		}
		if _, again := o.Append(t.Context(), admit(next)); !errors.Is(again, ErrDiskFull) {
			t.Fatalf("rest %d: second Append = %v", rest, again)
		}
		if q := o.Queue(); q.Last != want {
			t.Fatalf("rest %d: last %d, want %d", rest, q.Last, want)
		}
		if got := len(all(t, o, 0)); got != int(want) {
			t.Fatalf("rest %d: %d rows are readable, want %d", rest, got, want)
		}
		if rest%(16<<10) == 0 {
			o = reopen(t, o)
		}
		if err := os.Remove(full); err != nil {
			t.Fatal(err)
		}
		if n, err := o.Append(t.Context(), admit(next)); err != nil || n != want+1 {
			t.Fatalf("rest %d: after freeing: %d %v, want %d", rest, n, err, want+1)
		}
		next, want = next+1, want+1
	}
	if got := len(all(t, o, 0)); got != int(want) {
		t.Fatalf("%d rows at the end, want %d", got, want)
	}
	t.Logf("ledger disk-full %v", ledger{decided: int(want), found: int(want)})
}
