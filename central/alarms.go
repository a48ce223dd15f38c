package central

import (
	"context"
	"sync"
	"time"

	"gateagent/central/store"
)

const (
	// alarmsQueued bounds the rows that wait to be stored. Past it there is one
	// for each kind, whatever the kiosk: names are not proven behind every
	// broker.
	alarmsQueued = 10_000
	// alarmsAgain is how soon alarms are tried again that could not be stored.
	alarmsAgain = time.Second
	// alarmsLast is how long those that wait at the end may take.
	alarmsLast = 2 * time.Second
)

// alarms wait to be stored, as they will lie there: one row of a kiosk and kind
// with its newest text and a count. Whoever raises thousands keeps nobody
// else's out.
type alarms struct {
	wake chan struct{}

	mu      sync.Mutex
	waiting map[alarmKey]store.Alarm // guarded by mu
}

type alarmKey struct{ kiosk, kind string }

func newAlarms() *alarms {
	return &alarms{wake: make(chan struct{}, 1), waiting: map[alarmKey]store.Alarm{}}
}

// add counts an alarm in.
func (q *alarms) add(a store.Alarm) {
	a.Count = max(a.Count, 1)
	if a.Last.Before(a.First) {
		a.Last = a.First
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	key := alarmKey{a.Kiosk, a.Kind}
	had, known := q.waiting[key]
	if !known && len(q.waiting) >= alarmsQueued {
		a.Text = "of kiosk " + a.Kiosk + ", the latest of many: " + a.Text
		a.Kiosk, key.kiosk = "", ""
		had, known = q.waiting[key]
	}
	if known {
		a.Count += had.Count
		if had.Last.After(a.Last) {
			a.Text, a.Last = had.Text, had.Last
		}
		if had.First.Before(a.First) {
			a.First = had.First
		}
	}
	q.waiting[key] = a
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// all takes out what waits.
func (q *alarms) all() []store.Alarm {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := make([]store.Alarm, 0, len(q.waiting))
	for _, a := range q.waiting {
		out = append(out, a)
	}
	clear(q.waiting)
	return out
}

// Alarm queues an alarm to be stored.
func (in *ingest) Alarm(a store.Alarm) {
	if a.Kind == store.AlarmUnknown {
		a.Kiosk = "" // one row for all strangers, whatever names they invent
	}
	in.alarms.add(a)
}

// storeAlarms stores alarms as they come, and until ctx ends those again that
// could not be stored.
func (in *ingest) storeAlarms(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), alarmsLast)
			defer cancel()
			in.storeWaiting(last)
			return nil
		case <-in.alarms.wake:
		}
		tctx, cancel := context.WithTimeout(ctx, commitTimeout)
		stored := in.storeWaiting(tctx)
		cancel()
		if !stored {
			select {
			case <-ctx.Done():
			case <-time.After(alarmsAgain):
			}
		}
	}
}

func (in *ingest) storeWaiting(ctx context.Context) bool {
	all := in.alarms.all()
	if len(all) == 0 {
		return true
	}
	err := in.store.RaiseAlarm(ctx, all...)
	if err == nil {
		return true
	}
	in.log.Error("alarms not stored, tried again", "alarms", len(all), "err", err)
	for _, a := range all {
		in.alarms.add(a)
	}
	return false
}
