package central

import (
	"fmt"
	"sync"
	"time"

	"gateagent/central/store"
)

// Bounds of what central's disk takes.
const (
	// mostFree is kept free at most, unless the configuration says otherwise:
	// this, or a twentieth of the file system where that is less.
	mostFree = 1 << 30
	// dayBytes is what one kiosk may add in a day, as it comes. A kiosk's whole
	// outbox is a quarter of that; a busy lane makes some dozen megabytes a day.
	dayBytes = 8 << 30
	// spaceAlarm is how often the alarm of a full disk is raised.
	spaceAlarm = time.Hour
)

// room says why nothing more is to be stored: what is left on the disk is for
// the database's own work, and for whoever has to make room.
func (in *ingest) room() error {
	if in.minFree < 0 || in.dir == "" {
		return nil
	}
	free, all, err := in.free(in.dir)
	if err != nil {
		in.log.Warn("central's free space is not known", "err", err)
		return nil // the database says so itself when there is none
	}
	least := in.minFree
	if least == 0 {
		least = min(mostFree, all/20)
	}
	if free >= least {
		return nil
	}
	err = fmt.Errorf("%d MiB are free where central's database lies, below %d MiB nothing is stored", free>>20, least>>20)
	if now := in.now(); now.Sub(in.spaceTold).Abs() >= spaceAlarm {
		in.spaceTold = now
		in.Alarm(store.Alarm{Kind: store.AlarmSpace, First: now, Text: err.Error() + "; kiosks keep their results"})
	}
	return err
}

// daily counts what each kiosk added today (UTC).
type daily struct {
	most int64

	mu    sync.Mutex
	day   int64            // guarded by mu; since 1970
	spent map[string]int64 // guarded by mu; bytes
}

// today begins anew when the day is another one; d.mu is held.
func (d *daily) today(now time.Time) {
	if day := now.Unix() / (24 * 60 * 60); d.spent == nil || day != d.day {
		d.day, d.spent = day, map[string]int64{}
	}
}

// full says whether a kiosk has added all it may today.
func (d *daily) full(kiosk string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.today(now)
	return d.spent[kiosk] >= d.most
}

// add counts bytes in and says whether these make it full.
func (d *daily) add(kiosk string, bytes int64, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.today(now)
	before := d.spent[kiosk]
	d.spent[kiosk] = before + bytes
	return before < d.most && before+bytes >= d.most
}

// count counts what a batch added.
func (in *ingest) count(b *store.Batch) {
	n := int64(0)
	for i := range b.Entries {
		n += int64(len(b.Entries[i].Body))
	}
	if !in.added.add(b.Kiosk, n, in.now()) {
		return
	}
	in.log.Warn("a kiosk has sent more results than any makes; no more are taken of it today", "kiosk", b.Kiosk, "bytes", in.added.most)
	in.Alarm(store.Alarm{Kiosk: b.Kiosk, Kind: store.AlarmFlood, First: in.now(), Text: fmt.Sprintf(
		"it sent more than %d MiB of new results today; no more are taken of it until midnight (UTC), and wait there", in.added.most>>20)})
}
