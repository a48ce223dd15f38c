package update

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
)

// state is what staff and central are told; Updater.mu guards it.
type state struct {
	latest    *chain       // the newest that was proven
	root      wire.InForce // as central is told
	timestamp wire.InForce
	issued    time.Time // when the newest timestamp was signed, or first proven
	// roles says what is in force, by role.
	roles    map[string]*roleState
	alarms   map[string]*alarm // by source and attack
	troubles map[string]string // by thing: what is wrong without a suspicion
	reached  string            // the source that last had everything
	at       time.Time         // when
}

// roleState is what became of a role.
type roleState struct {
	digest  string // of the targets that were last given to the applier
	done    bool   // they are in force, or refused for good
	problem string
	alarm   bool // the problem is that the lane did not come back
	in      InForce
	meta    int64 // version of the role's metadata that the targets are from
	since   time.Time
	issued  time.Time // of the newest target in force
	expires time.Time // of the one that ends first
}

// alarm is one refusal that staff should see.
type alarm struct {
	text   string
	first  time.Time
	last   time.Time
	logged time.Time
	count  int
}

// Alarms stay for alarmLasts; the same one is logged once in alarmPause.
const (
	alarmLasts = 24 * time.Hour
	alarmPause = 10 * time.Minute
)

func newState() state {
	return state{roles: map[string]*roleState{}, alarms: map[string]*alarm{}, troubles: map[string]string{}}
}

// proven notes what was proven last.
func (u *Updater) proven(c *chain) {
	at := u.store.held.accepted
	if text, ok := issued(c.tm.Timestamp, wire.TimestampIssued); ok {
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			at = t
		}
	}
	if u.cfg.Signed != nil {
		u.cfg.Signed(at)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.latest, u.issued = c.frozen(), at
	u.root = spoken(wire.RoleRoot, c.rootVersion(), c.new.root)
	u.timestamp = spoken(wire.RoleTimestamp, c.tm.Timestamp.Signed.Version, c.new.timestamp)
	u.timestamp.Issued = at.UTC()
}

func spoken(role string, version int64, b []byte) wire.InForce {
	sum := sha256.Sum256(b)
	return wire.InForce{Role: role, Version: uint64(max(0, version)), Hash: hex.EncodeToString(sum[:8])}
}

// InForce is what central is told of what is in force.
func (u *Updater) InForce() []wire.InForce {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.latest == nil {
		return nil
	}
	out := []wire.InForce{u.root, u.timestamp}
	for _, role := range u.order {
		if r := u.roles[role]; r != nil && r.in.Version > 0 {
			out = append(out, wire.InForce{Role: role, Version: uint64(r.meta), Hash: r.in.Detail})
		}
	}
	return out
}

// wanted lists the targets that must stay on disk after work on c.
func (u *Updater) wanted(c *chain) []Target {
	u.mu.Lock()
	latest := u.latest
	u.mu.Unlock()
	var all []Target
	for _, one := range []*chain{c, latest} {
		for role := range u.byRole {
			if one == nil || one.tm.Targets[role] == nil {
				continue
			}
			if targets, _, err := one.targetsOf(role); err == nil {
				all = append(all, targets...)
			}
		}
	}
	return all
}

// settled says whether these targets need no applier any more, and whether
// they are in force. meta is the version of the metadata that names them.
func (u *Updater) settled(role, digest string, meta int64) (done, inForce bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := u.roles[role]
	done = r != nil && r.digest == digest && r.done
	if inForce = done && r.problem == ""; inForce {
		r.meta = meta
	}
	return done, inForce
}

// applied notes what an applier did.
func (u *Updater) applied(role string, meta int64, targets []Target, in InForce, err error) {
	d := digest(targets)
	u.mu.Lock()
	defer u.mu.Unlock()
	r := u.roles[role]
	if r == nil {
		r = &roleState{}
		u.roles[role] = r
	}
	news := r.problem
	r.digest, r.problem = d, ""
	if err != nil {
		r.problem = err.Error()
		r.alarm = errors.Is(err, ErrTrial)
		r.done = errors.Is(err, ErrFinal) || attackOf(err) != ""
		if r.problem != news {
			u.log.Error("not put in force; what was before stays", "role", role, "err", err)
		}
		return
	}
	r.meta = meta
	r.done, r.in, r.since, r.issued, r.expires = true, in, u.cfg.Time().Now, time.Time{}, time.Time{}
	for _, t := range targets {
		if t.Issued.After(r.issued) {
			r.issued = t.Issued
		}
		if r.expires.IsZero() || t.Expires.Before(r.expires) {
			r.expires = t.Expires
		}
	}
}

// outOfForce notes that what a role had put in force counts no more.
func (u *Updater) outOfForce(role string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.roles[role] = &roleState{problem: err.Error()}
}

// refused notes a refusal: once in the journal, and for staff.
func (u *Updater) refused(source string, err error) {
	var r *Refusal
	if !errors.As(err, &r) {
		return
	}
	now := u.cfg.Time().Now
	u.mu.Lock()
	defer u.mu.Unlock()
	key := source + " " + string(r.Attack) + " " + r.What
	a := u.alarms[key]
	if a == nil {
		a = &alarm{first: now}
		u.alarms[key] = a
	}
	a.text, a.last = fmt.Sprintf("%s: %v", source, r), now
	a.count++
	if a.logged.IsZero() || now.Sub(a.logged) > alarmPause {
		u.log.Error("update alarm: refused, what was in force stays", "attack", string(r.Attack), "what", r.What, "source", source, "err", r.Err, "times", a.count)
		a.logged = now
	}
	for len(u.alarms) > wire.MaxNotices {
		delete(u.alarms, oldest(u.alarms))
	}
}

func oldest(alarms map[string]*alarm) string {
	return slices.MinFunc(slices.Collect(maps.Keys(alarms)), func(a, b string) int { return alarms[a].last.Compare(alarms[b].last) })
}

// suspect notes a refusal of what a source gave.
func (u *Updater) suspect(src Source, err error) { u.refused(src.Name(), err) }

// roleRefused notes that a role is refused, or no more.
func (u *Updater) roleRefused(role string, err error) {
	if err == nil {
		u.trouble("role "+role, "")
		return
	}
	u.refused("role "+role, err)
	u.trouble("role "+role, err.Error())
}

// ignored notes targets of kinds that this release does not know.
func (u *Updater) ignored(role string, paths []string) {
	text := ""
	if len(paths) > 0 {
		text = fmt.Sprintf("%d targets of role %s are of a kind that this release does not know (%.100s); they are ignored: update the software", len(paths), role, paths[0])
	}
	u.trouble("kinds of "+role, text)
}

// trouble sets what is wrong with a thing; an empty text clears it.
func (u *Updater) trouble(thing, text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if text == "" {
		delete(u.troubles, thing)
		return
	}
	if u.troubles[thing] != text {
		u.log.Warn("update", "thing", thing, "problem", text)
	}
	u.troubles[thing] = text
}

// looked notes how a look at the sources ended.
func (u *Updater) looked(src Source, err error) {
	text := ""
	if err != nil {
		text = "no mirror has everything: " + err.Error()
	}
	u.trouble("mirrors", text)
	if src == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reached, u.at = src.Name(), u.cfg.Time().Now
}

// Under these names staff see it.
const (
	sourceUpdate = "update"
	sourceAlarm  = "update alarm" // something was refused that must be looked at; wire.NoticeUpdateAlarm
)

// Notices says what staff should know, most urgent first: alarms, then what
// is too old, then what is wrong.
func (u *Updater) Notices() []gate.Notice {
	now := u.cfg.Time()
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []gate.Notice
	add := func(source, level, format string, args ...any) {
		out = append(out, gate.Notice{Level: level, Source: source, Text: fmt.Sprintf(format, args...)})
	}
	keys := slices.SortedFunc(maps.Keys(u.alarms), func(a, b string) int {
		return cmp.Or(u.alarms[b].last.Compare(u.alarms[a].last), strings.Compare(a, b))
	})
	for _, k := range keys {
		if a := u.alarms[k]; now.Now.Sub(a.last) < alarmLasts {
			add(sourceAlarm, "fault", "%s; what was in force stays", clip(a.text))
		}
	}
	for _, o := range u.overdue(now) {
		add(sourceUpdate, o.level(), "%s", o.text())
	}
	for _, role := range slices.Sorted(maps.Keys(u.roles)) {
		r := u.roles[role]
		if p := r.problem; p != "" && r.alarm {
			add(sourceAlarm, "fault", "%s: %s", role, clip(p))
		} else if p != "" {
			add(sourceUpdate, "warning", "%s not put in force: %s", role, clip(p))
		}
	}
	for _, thing := range slices.Sorted(maps.Keys(u.troubles)) {
		add(sourceUpdate, "warning", "%s: %s", thing, clip(u.troubles[thing]))
	}
	return out
}

// maxText bounds a notice: what a mirror says must not fill a page.
const maxText = 300

func clip(s string) string {
	s = strings.ReplaceAll(s, "\n", "; ")
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.ToValidUTF8(s, "")
}
