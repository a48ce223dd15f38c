package fleet

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"gateagent/central/store"
	"gateagent/gate"
	"gateagent/gate/wire"
)

// What the page calls late.
const (
	// silentAfter is three and a half heartbeats of ten seconds; a kiosk that
	// says that its heartbeat is slower gets as many of its own.
	silentAfter = 35 * time.Second
	// certSoon is when a kiosk's certificate is to be renewed.
	certSoon = 30 * 24 * time.Hour
	// tallyWindow is what "last results" covers.
	tallyWindow = 24 * time.Hour
	// tallyCache keeps many open pages from counting each for itself.
	tallyCache = 2 * time.Second
	// queueOld is how old a waiting result may be before it stands out.
	queueOld = 2 * time.Minute
	// maxReasons are shown of one kiosk.
	maxReasons = 4
)

// States of a kiosk, as words; the style gives each a shape of its own.
const (
	statePresent = "present"
	stateSilent  = "silent"  // connected by the broker's word, and no heartbeat
	stateAbsent  = "absent"  // its last will has come
	stateNever   = "unseen"  // enrolled, never heard of
	stateRevoked = "revoked" // no longer of the fleet
)

// viewer draws views from store and board.
type viewer struct {
	conf Config
	now  func() time.Time

	mu      sync.Mutex
	tallies []store.Tally // guarded by mu
	counted time.Time     // guarded by mu
}

func newViewer(c Config) *viewer { return &viewer{conf: c, now: time.Now} }

// fleetView is the overview.
type fleetView struct {
	Now                                  time.Time
	Health                               []string
	Alarms                               []alarmView
	Kiosks                               []kioskView
	Present, Silent, Absent, Unseen, All int
	Queue                                int
	Decisions                            int64
}

type alarmView struct {
	store.Alarm
	Name string // of the kind, in words
}

var alarmNames = map[string]string{
	store.AlarmFlood:     "Kiosk floods central",
	store.AlarmConflict:  "Contradicting results",
	store.AlarmSignature: "Wrong signature",
	store.AlarmForeign:   "Results on another kiosk's topic",
	store.AlarmRevoked:   "Revoked kiosk still tries",
	store.AlarmUnknown:   "Unknown kiosk",
	store.AlarmFormat:    "Unreadable message",
	store.AlarmLoss:      "Results are lost",
	store.AlarmTwins:     "Two kiosks with one identity",

	store.AlarmUnreadable: "Results that cannot be opened",
	store.AlarmUnstored:   "Results that cannot be stored",
	store.AlarmSpace:      "Central's disk is nearly full",
	store.AlarmDisagree:   "Kiosks disagree",
	store.AlarmPushed:     "Push refused",
}

// kioskView is one kiosk in the overview.
type kioskView struct {
	Name, Gate  string
	State       string
	Since       time.Time // of State; zero when it was never heard of
	Heard       time.Time
	Revoked     time.Time
	RevokedWhy  string
	Stage       string
	Version     string
	Policy      string
	FaceOff     bool
	HasStatus   bool
	Queue       int
	QueueOldest time.Time
	QueueLate   bool
	Uplink      wire.UplinkStatus
	List        listView
	Admit       int64
	Refer       int64
	Abort       int64
	Total       int64
	Reasons     []reasonView
	MoreReasons int
	Notices     []wire.Notice
	CertEnds    time.Time
	CertSoon    bool
	Attention   string // look: soon; act: now; empty: nothing wants anybody
}

type listView struct {
	wire.ListStatus
	State string // in force, expired, missing
}

type reasonView struct {
	Outcome, Name, Text string
	Count               int64
}

// fleet draws the overview.
func (v *viewer) fleet(ctx context.Context) (*fleetView, error) {
	now := v.now()
	kiosks, err := v.conf.Store.Kiosks(ctx)
	if err != nil {
		return nil, err
	}
	alarms, err := v.conf.Store.OpenAlarms(ctx)
	if err != nil {
		return nil, err
	}
	tallies, err := v.count(ctx, now)
	if err != nil {
		return nil, err
	}
	f := &fleetView{Now: now, Health: v.conf.Health(), All: len(kiosks)}
	for _, a := range alarms {
		f.Alarms = append(f.Alarms, alarmView{a, alarmNames[a.Kind]})
	}
	live := v.live()
	for _, k := range kiosks {
		kv := drawKiosk(k, live[k.Name], tallies, now)
		switch kv.State {
		case statePresent:
			f.Present++
		case stateSilent:
			f.Silent++
		case stateAbsent:
			f.Absent++
		case stateNever:
			f.Unseen++
		case stateRevoked:
			f.All--
		}
		f.Queue += kv.Queue
		f.Decisions += kv.Total
		f.Kiosks = append(f.Kiosks, kv)
	}
	// By name, those of the past last.
	slices.SortStableFunc(f.Kiosks, func(a, b kioskView) int { return a.past() - b.past() })
	return f, nil
}

func (v *viewer) live() map[string]store.Live {
	m := map[string]store.Live{}
	for _, l := range v.conf.Live() {
		m[l.Kiosk] = l
	}
	return m
}

// count gives the tallies, counted at most every tallyCache.
func (v *viewer) count(ctx context.Context, now time.Time) ([]store.Tally, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now.Sub(v.counted) < tallyCache {
		return v.tallies, nil
	}
	t, err := v.conf.Store.Tallies(ctx, now.Add(-tallyWindow))
	if err != nil {
		return nil, err
	}
	v.tallies, v.counted = t, now
	return t, nil
}

func drawKiosk(k store.Kiosk, l store.Live, tallies []store.Tally, now time.Time) kioskView {
	v := kioskView{Name: k.Name, Revoked: k.Revoked, RevokedWhy: k.RevokedWhy, CertEnds: k.NotAfter, Heard: l.Heard,
		CertSoon: k.Revoked.IsZero() && k.NotAfter.Sub(now) < certSoon}
	v.State, v.Since = presence(k, l, now)
	if s, err := wire.DecodeStatus(l.Status); err == nil {
		v.HasStatus = true
		v.Uplink = s.Uplink
		v.Gate, v.Stage, v.Version, v.Policy, v.FaceOff = s.Gate, s.Stage, s.Version, s.Policy, s.FaceOff
		v.Queue, v.QueueOldest, v.Notices = s.QueueDepth, s.OldestUnacked, s.Notices
		v.QueueLate = s.QueueDepth > 0 && !s.OldestUnacked.IsZero() && now.Sub(s.OldestUnacked) > queueOld
		v.List = drawList(s.List, now)
	}
	v.tally(tallies)
	v.Attention = v.attention()
	return v
}

// past sorts revoked kiosks behind the others.
func (v *kioskView) past() int {
	if v.State == stateRevoked {
		return 1
	}
	return 0
}

// attention says how much a kiosk wants somebody.
func (v *kioskView) attention() string {
	if v.State == stateRevoked {
		return ""
	}
	level := ""
	if v.State == stateSilent || v.State == stateNever || v.QueueLate || v.CertSoon {
		level = "look"
	}
	if v.State == stateAbsent || v.HasStatus && v.List.State != "in force" {
		return "act"
	}
	for _, n := range v.Notices {
		switch n.Level {
		case "fault":
			return "act"
		case "warning":
			level = "look"
		}
	}
	return level
}

// presence joins last will and heartbeat: whoever is said to be up and sends
// no heartbeat is silent, not present.
func presence(k store.Kiosk, l store.Live, now time.Time) (string, time.Time) {
	switch {
	case !k.Revoked.IsZero():
		return stateRevoked, k.Revoked
	case l.Kiosk == "":
		return stateNever, time.Time{}
	case !l.Up:
		return stateAbsent, l.Since
	case now.Sub(l.Heard) > patience(l) && now.Sub(l.Since) > patience(l):
		if l.Heard.After(l.Since) {
			return stateSilent, l.Heard
		}
		return stateSilent, l.Since
	}
	return statePresent, l.Since
}

// slowestBeat bounds what a kiosk may say of its heartbeat.
const slowestBeat = time.Hour

// patience is how long a kiosk may be silent by what it said last.
func patience(l store.Live) time.Duration {
	s, err := wire.DecodeStatus(l.Status)
	if err != nil || s.Uplink.Heartbeat <= 0 || s.Uplink.Heartbeat > int(slowestBeat.Seconds()) {
		return silentAfter
	}
	return max(silentAfter, time.Duration(s.Uplink.Heartbeat)*time.Second*7/2)
}

// PathText says over which path a kiosk reaches us, empty where it has but
// one.
func (v kioskView) PathText() string {
	u := v.Uplink
	if u.Path == "" || u.Budget <= 0 {
		return u.Path
	}
	return fmt.Sprintf("%s, %.0f of %.0f MiB left until %s", u.Path, float64(max(0, u.Left))/(1<<20), float64(u.Budget)/(1<<20), u.Until.Format(time.DateOnly))
}

func drawList(l wire.ListStatus, now time.Time) listView {
	v := listView{ListStatus: l, State: "in force"}
	switch {
	case !l.Present:
		v.State = "missing"
	case !l.Expires.IsZero() && now.After(l.Expires):
		v.State = "expired"
	}
	return v
}

// tally picks this kiosk's share of the counts.
func (v *kioskView) tally(all []store.Tally) {
	for _, t := range all {
		if t.Kiosk != v.Name {
			continue
		}
		v.Total += t.Count
		switch t.Outcome {
		case wire.OutcomeAdmit:
			v.Admit += t.Count
			continue
		case wire.OutcomeAbort:
			v.Abort += t.Count
		default:
			v.Refer += t.Count
		}
		if len(v.Reasons) == maxReasons || t.Others > 0 {
			v.MoreReasons += max(1, t.Others)
			continue
		}
		info := gate.Code(t.Reason).Info()
		v.Reasons = append(v.Reasons, reasonView{t.Outcome, info.Name, info.Text, t.Count})
	}
}

// bar holds how far each part of the bar of outcomes reaches, in percent;
// they are drawn over each other, so no gap is left between them.
type bar struct{ Admit, Refer, Abort int64 }

// Bar draws the bar of outcomes.
func (v kioskView) Bar() bar {
	b := bar{percent(v.Admit, v.Total), percent(v.Admit+v.Refer, v.Total), 100}
	if v.Abort == 0 {
		b.Refer, b.Abort = 100, 0
	}
	if v.Abort == 0 && v.Refer == 0 {
		b.Admit, b.Refer = 100, 0
	}
	return b
}

// atTime is a kiosk with the time it is drawn at, for parts of a template.
type atTime struct {
	K   kioskView
	Now time.Time
}

// With joins a kiosk with the time it is drawn at.
func (v kioskView) With(now time.Time) atTime { return atTime{v, now} }

// ago says in words how long ago t was, or how long it is until then.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t)
	if d < 0 {
		return "in " + span(-d)
	}
	if d < 2*time.Second {
		return "now"
	}
	return span(d) + " ago"
}

func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// lasting says in words for how long something has been so.
func lasting(now, t time.Time) string { return span(max(0, now.Sub(t))) }

// stamp writes a time in full for the machine-readable attribute and the
// tooltip.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// percent of a part for the bar; something never vanishes to nothing.
func percent(part, whole int64) int64 {
	if whole == 0 || part == 0 {
		return 0
	}
	return max(1, part*100/whole)
}
