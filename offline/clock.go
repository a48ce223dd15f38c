package offline

import (
	"time"

	"gateagent/gate/wire"
	"gateagent/internal/clock"
)

// Stamp fills in the clock fields of a record: at and trusted come from the
// caller's trusted time; the time since boot, suspend included
// (CLOCK_BOOTTIME), and the boot id order records whatever the wall clock did.
func (o *Outbox) Stamp(rec *wire.Record, at time.Time, trusted bool) error {
	since, err := clock.SinceBoot()
	if err != nil {
		return err
	}
	id, err := o.boot()
	if err != nil {
		return err
	}
	rec.At = at.UTC()
	rec.ClockTrusted = trusted
	rec.SinceBoot = since.Milliseconds()
	rec.BootID = id
	return nil
}

// boot is the boot id, read once: it lasts longer than this process.
func (o *Outbox) boot() (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bootID == "" {
		id, err := clock.BootID()
		if err != nil {
			return "", err
		}
		o.bootID = id
	}
	return o.bootID, nil
}
