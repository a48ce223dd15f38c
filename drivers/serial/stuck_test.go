package serial_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/creack/pty"
)

// stuckDevice is a terminal whose other end never reads.
func stuckDevice(t *testing.T) string {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close(); _ = master.Close() })
	link := filepath.Join(t.TempDir(), "stuck")
	if err := os.Symlink(slave.Name(), link); err != nil {
		t.Fatal(err)
	}
	return link
}
