package offline

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gateagent/gate/wire"
)

// bootIDPath holds an id that the kernel draws at each boot (proc(5)).
const bootIDPath = "/proc/sys/kernel/random/boot_id"

// Stamp fills in the clock fields of a record: at and trusted come from the
// caller's trusted time; the time since boot, suspend included
// (CLOCK_BOOTTIME), and the boot id order records whatever the wall clock did.
func Stamp(rec *wire.Record, at time.Time, trusted bool) error {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return fmt.Errorf("read the boot clock: %w", err)
	}
	id, err := os.ReadFile(bootIDPath)
	if err != nil {
		return fmt.Errorf("read the boot id: %w", err)
	}
	rec.At = at.UTC()
	rec.ClockTrusted = trusted
	rec.SinceBoot = ts.Nano() / int64(time.Millisecond)
	rec.BootID = strings.TrimSpace(string(id))
	return nil
}
