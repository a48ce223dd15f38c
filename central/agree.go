package central

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

// Times of the comparison of what kiosks have in force.
const (
	compareEvery = 15 * time.Second
	heardLately  = 2 * time.Minute  // older statuses say nothing about now
	maxLag       = 10 * time.Minute // how long a connected kiosk may stay behind the newest timestamp
	repeatAlarm  = time.Hour
)

// roots compares what connected kiosks say they have in force.
type roots struct {
	behind map[string]time.Time // since when a kiosk is behind
	told   map[string]time.Time // when an alarm was last raised, by kiosk and text
}

func newRoots() *roots { return &roots{behind: map[string]time.Time{}, told: map[string]time.Time{}} }

// compareRoots raises an alarm where kiosks that should agree do not.
func (s *Service) compareRoots(ctx context.Context) error {
	r := newRoots()
	tick := time.NewTicker(compareEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			for _, a := range r.compare(s.board.Live(), time.Now()) {
				s.ingest.Alarm(a)
			}
		}
	}
}

// word is what a kiosk says of one role.
type word struct {
	kiosk string
	wire.InForce
}

// compare gives the alarms that are due.
func (r *roots) compare(live []store.Live, now time.Time) []store.Alarm {
	words, newest := map[string][]word{}, uint64(0)
	at := map[string]uint64{} // timestamp by kiosk
	var out []store.Alarm
	for _, l := range live {
		st, err := wire.DecodeStatus(l.Status)
		if err != nil || !l.Up || now.Sub(l.Heard) > heardLately {
			continue
		}
		out = r.refused(out, l.Kiosk, st.Notices, now)
		for _, in := range st.Update {
			if in.Role == wire.RoleSettings {
				continue // they may differ from kiosk to kiosk
			}
			key := fmt.Sprintf("%s version %d", in.Role, in.Version)
			words[key] = append(words[key], word{l.Kiosk, in})
			if in.Role == wire.RoleTimestamp {
				at[l.Kiosk], newest = in.Version, max(newest, in.Version)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(words)) {
		out = append(out, r.differing(key, words[key], now)...)
	}
	return append(out, r.lagging(at, newest, now)...)
}

// differing finds two contents under one version: somebody was given
// something else, or has made something else of it.
func (r *roots) differing(key string, words []word, now time.Time) (out []store.Alarm) {
	by := map[string][]string{}
	for _, w := range words {
		by[w.Hash] = append(by[w.Hash], w.kiosk)
	}
	if len(by) < 2 {
		return nil
	}
	most := slices.MaxFunc(slices.Sorted(maps.Keys(by)), func(a, b string) int { return len(by[a]) - len(by[b]) })
	for _, hash := range slices.Sorted(maps.Keys(by)) {
		for _, kiosk := range by[hash] {
			if hash != most || len(by[hash]) == 1 {
				out = r.raise(out, kiosk, fmt.Sprintf("%s is %s here and something else at another kiosk", key, hash), now)
			}
		}
	}
	return out
}

// lagging finds connected kiosks that stay behind.
func (r *roots) lagging(at map[string]uint64, newest uint64, now time.Time) (out []store.Alarm) {
	for kiosk := range r.behind {
		if at[kiosk] == newest || at[kiosk] == 0 {
			delete(r.behind, kiosk)
		}
	}
	for _, kiosk := range slices.Sorted(maps.Keys(at)) {
		if at[kiosk] == newest {
			continue
		}
		since, known := r.behind[kiosk]
		if !known {
			r.behind[kiosk] = now
		} else if now.Sub(since) > maxLag {
			out = r.raise(out, kiosk, fmt.Sprintf("it is connected and has timestamp version %d, others have %d: revocations do not reach it", at[kiosk], newest), now)
		}
	}
	return out
}

// refused takes up what a kiosk refused for a reason that somebody must look
// at: an attack, or what was pushed and the lane did not come back with.
func (r *roots) refused(out []store.Alarm, kiosk string, notices []wire.Notice, now time.Time) []store.Alarm {
	for _, n := range notices {
		if n.Source == wire.NoticeUpdateAlarm && n.Level == "fault" {
			out = r.raiseAs(out, store.AlarmPushed, kiosk, n.Text, now)
		}
	}
	return out
}

// raise adds an alarm unless the same was raised lately.
func (r *roots) raise(out []store.Alarm, kiosk, text string, now time.Time) []store.Alarm {
	return r.raiseAs(out, store.AlarmDisagree, kiosk, text, now)
}

func (r *roots) raiseAs(out []store.Alarm, kind, kiosk, text string, now time.Time) []store.Alarm {
	if now.Sub(r.told[kiosk+text]) < repeatAlarm {
		return out
	}
	maps.DeleteFunc(r.told, func(_ string, at time.Time) bool { return now.Sub(at) > repeatAlarm })
	r.told[kiosk+text] = now
	return append(out, store.Alarm{Kiosk: kiosk, Kind: kind, Text: text, First: now})
}
