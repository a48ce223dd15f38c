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
	maxLag       = 10 * time.Minute // how long a connected kiosk may stay behind the others
	maxListLag   = time.Hour        // the same for a list, which is large
	repeatAlarm  = time.Hour
)

// roots compares what connected kiosks say they have in force.
type roots struct {
	signed int64                // version of the newest timestamp that central signed; 0: it signs none
	behind map[string]time.Time // since when a kiosk is behind in something, or ahead
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
			live := s.board.Live()
			r.signed = s.ups.Signed() // after the statuses: none can be ahead of it
			for _, a := range r.compare(live, time.Now()) {
				s.ingest.Alarm(a)
			}
		}
	}
}

// word is what a kiosk says of one thing that it has in force.
type word struct {
	kiosk   string
	thing   string
	version uint64
	hash    string
	lag     time.Duration // how long it may stay behind; 0: for ever
}

// thingTimestamp is what all others are compared under: kiosks that have
// different ones cannot agree.
const thingTimestamp = wire.RoleTimestamp

// wordsOf gives what kiosks with the same words must agree on. What may differ
// from kiosk to kiosk (settings, software and models come to a share of them
// first) is not among it.
func wordsOf(kiosk string, st *wire.Status) (out []word) {
	if len(st.Update) == 0 {
		return nil
	}
	// What is not there at all is version 0: it is behind all others.
	trust, gone := word{kiosk: kiosk, thing: wire.RoleTrust, lag: maxLag}, word{kiosk: kiosk, thing: "revocations of " + st.Airport, lag: maxLag}
	for _, in := range st.Update {
		switch in.Role {
		case wire.RoleRevocations: // one version holds every airport's
			gone.version, gone.hash = in.Version, in.Hash
		case wire.RoleTrust:
			trust.version, trust.hash = in.Version, in.Hash
		case wire.RoleSettings, wire.RoleSoftware, wire.RoleModels:
		default:
			out = append(out, word{kiosk: kiosk, thing: in.Role, version: in.Version, hash: in.Hash})
		}
	}
	if out = append(out, trust); st.Airport == "" {
		return out
	}
	return append(out, gone, word{kiosk, "list of " + st.Airport, st.List.Version, st.List.Root, maxListLag})
}

// compare gives the alarms that are due.
func (r *roots) compare(live []store.Live, now time.Time) []store.Alarm {
	same, things, at := map[string][]word{}, map[string][]word{}, map[string]uint64{}
	var out []store.Alarm
	for _, l := range live {
		st, err := wire.DecodeStatus(l.Status)
		if err != nil || !l.Up || now.Sub(l.Heard) > heardLately {
			continue
		}
		out = r.refused(out, l.Kiosk, st.Notices, now)
		for _, w := range wordsOf(l.Kiosk, st) {
			key := fmt.Sprintf("%s version %d", w.thing, w.version)
			same[key] = append(same[key], w)
			things[w.thing] = append(things[w.thing], w)
			if w.thing == thingTimestamp {
				at[l.Kiosk] = w.version
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(same)) {
		out = r.differing(out, key, same[key], now)
	}
	late := map[string]bool{}
	newest := believed(slices.Collect(maps.Values(at)), uint64(r.signed))
	for _, kiosk := range slices.Sorted(maps.Keys(at)) {
		switch v := at[kiosk]; {
		case v < newest:
			out = r.lagging(out, late, kiosk, thingTimestamp, maxLag, now,
				fmt.Sprintf("it is connected and has timestamp version %d, others have %d: revocations do not reach it", v, newest))
		case v > newest && r.signed > 0:
			out = r.lagging(out, late, kiosk, "ahead in "+thingTimestamp, maxLag, now,
				fmt.Sprintf("it says that it has timestamp version %d, central signed none above %d: what it says is not so, or somebody else signs", v, r.signed))
		case v > newest:
			out = r.lagging(out, late, kiosk, "ahead in "+thingTimestamp, maxLag, now,
				fmt.Sprintf("it alone says that it has timestamp version %d, no other has one above %d: what it says is not so, or revocations do not reach the others", v, newest))
		}
	}
	for _, thing := range slices.Sorted(maps.Keys(things)) {
		out = r.apart(out, late, things[thing], at, newest, now)
	}
	maps.DeleteFunc(r.behind, func(key string, _ time.Time) bool { return !late[key] })
	return out
}

// believed is the newest of the versions that kiosks say they have, as far as
// one kiosk alone cannot make it up: central signed it, or, where somebody else
// signs (signed is 0), a second kiosk has it. Of two kiosks nobody knows which
// to believe; both count.
func believed(said []uint64, signed uint64) uint64 {
	slices.Sort(said)
	if signed > 0 {
		said = slices.DeleteFunc(said, func(v uint64) bool { return v > signed })
	} else if n := len(said); n > 2 {
		return said[n-2]
	}
	if len(said) == 0 {
		return signed
	}
	return said[len(said)-1]
}

// apart finds kiosks that know the newest timestamp and have not what others
// made of it, or say that they alone have more.
func (r *roots) apart(out []store.Alarm, late map[string]bool, words []word, at map[string]uint64, newest uint64, now time.Time) []store.Alarm {
	words = slices.DeleteFunc(words, func(w word) bool { return w.lag == 0 || at[w.kiosk] != newest })
	said := make([]uint64, len(words))
	for i, w := range words {
		said[i] = w.version
	}
	best := believed(said, 0)
	for _, w := range words {
		switch {
		case w.version < best:
			out = r.lagging(out, late, w.kiosk, w.thing, w.lag, now,
				fmt.Sprintf("it has the newest timestamp, but %s version %d, others have %d: its notices say why", w.thing, w.version, best))
		case w.version > best:
			out = r.lagging(out, late, w.kiosk, "ahead in "+w.thing, w.lag, now,
				fmt.Sprintf("it alone says that it has %s version %d, no other has one above %d: what it says is not so, or the others do not get it", w.thing, w.version, best))
		}
	}
	return out
}

// differing finds two contents under one version: somebody was given
// something else, or has made something else of it.
func (r *roots) differing(out []store.Alarm, key string, words []word, now time.Time) []store.Alarm {
	by := map[string][]string{}
	for _, w := range words {
		by[w.hash] = append(by[w.hash], w.kiosk)
	}
	if len(by) < 2 {
		return out
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

// lagging raises an alarm when a kiosk is behind in something for too long.
func (r *roots) lagging(out []store.Alarm, late map[string]bool, kiosk, thing string, lag time.Duration, now time.Time, text string) []store.Alarm {
	key := kiosk + " " + thing
	late[key] = true
	since, known := r.behind[key]
	if !known {
		r.behind[key] = now
		return out
	}
	if now.Sub(since) > lag {
		out = r.raise(out, kiosk, text, now)
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
