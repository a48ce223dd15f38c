package uplink

import (
	"fmt"
	"time"

	"gateagent/gate"
)

// notice is a line for staff; until is zero for one that is taken back.
type notice struct {
	gate.Notice
	until time.Time
}

// notice sets the line of a source, for a time or (0) until it is cleared
// with an empty level.
func (u *Uplink) notice(source, level, text string, lasts time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.setNotice(source, level, text, lasts)
}

// setNotice is notice with u.mu held.
func (u *Uplink) setNotice(source, level, text string, lasts time.Duration) {
	if level == "" {
		delete(u.notices, source)
		return
	}
	n := notice{Notice: gate.Notice{Level: level, Source: source, Text: text}}
	if lasts > 0 {
		n.until = time.Now().Add(lasts)
	}
	u.notices[source] = n
}

// certificateWarning is how long before its end a certificate is mentioned.
const certificateWarning = 30 * 24 * time.Hour

// Notices says what staff should know, most urgent first.
func (u *Uplink) Notices() []gate.Notice {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []gate.Notice
	for _, source := range []string{sourceAlarm, sourceStore, sourceCentral, "uplink"} {
		n, ok := u.notices[source]
		if ok && (n.until.IsZero() || now.Before(n.until)) {
			out = append(out, n.Notice)
		}
	}
	out = append(out, u.pathNotices()...)
	return append(out, u.certificateNotice()...)
}

// certificateNotice says that the kiosk's certificate ends or has ended.
func (u *Uplink) certificateNotice() []gate.Notice {
	now := time.Now()
	if u.cfg.Now != nil {
		now = u.cfg.Now()
	}
	level, verb := "warning", "ends"
	switch end := u.cfg.Identity.NotAfter(); {
	case end.IsZero() || now.Add(certificateWarning).Before(end):
		return nil
	case now.After(end):
		level, verb = "fault", "ended"
	}
	return []gate.Notice{{Level: level, Source: sourceCertificate, Text: fmt.Sprintf("the kiosk's certificate %s on %s: renew it at central and install the new bundle",
		verb, u.cfg.Identity.NotAfter().UTC().Format(time.DateOnly))}}
}

// Sources of notices besides "uplink".
const (
	sourceAlarm   = "uplink alarm"  // something that must not happen
	sourceCentral = "central"       // central does not acknowledge
	sourceStore   = "outbox"        // an acknowledgement could not be stored
	sourcePath    = "uplink path"   // which of several paths is in use, and which are dead
	sourceBudget  = "uplink budget" // bytes left of a metered path
	// The kiosk's certificate ends.
	sourceCertificate = "certificate"
)

// alarmLasts is how long staff see an alarm.
const alarmLasts = time.Hour

// alarmPause bounds how often an alarm is logged: whoever can publish on our
// topic must not fill the disk.
const alarmPause = time.Second

// alarm is for what must not happen with honest parts: it is logged as an
// error and shown; nothing is deleted.
func (u *Uplink) alarm(text string, err error) {
	u.notice(sourceAlarm, "fault", text, alarmLasts)
	if time.Since(u.alarmed) < alarmPause {
		u.unlogged++
		return
	}
	attrs := []any{"alarm", text}
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	if u.unlogged > 0 {
		attrs = append(attrs, "not_logged_before", u.unlogged)
	}
	u.alarmed, u.unlogged = time.Now(), 0
	u.log.Error("uplink alarm", attrs...)
}

// pathNotices says which of several paths is in use, what is left of budgets,
// and which paths do not work. u.mu is held.
func (u *Uplink) pathNotices() []gate.Notice {
	var out []gate.Notice
	note := func(level, source, format string, args ...any) {
		out = append(out, gate.Notice{Level: level, Source: source, Text: fmt.Sprintf(format, args...)})
	}
	if u.current != nil && (len(u.routes) > 1 || u.current.metered()) {
		note("info", sourcePath, "central is reached over %s%s", u.current.Name, u.current.leftText())
	}
	if problem := u.budgets.Problem(); problem != "" {
		note("warning", sourceBudget, "the bytes used are not written down and would be forgotten at a restart: %s", problem)
	}
	for _, r := range u.routes {
		if len(u.routes) > 1 && r != u.current && r.known && !r.works {
			note("warning", sourcePath, "path %s does not work: %s", r.Name, reason(r.problem))
		}
		if !r.metered() {
			continue
		}
		switch _, until, stage := r.budget.state(); stage {
		case stageSpent:
			note("fault", sourceBudget, "the budget of path %s is used up until %s: nothing is sent over it any more, results wait here", r.Name, until.Format(time.DateOnly))
		case stageLow, stageScarce:
			note("warning", sourceBudget, "the budget of path %s runs out%s", r.Name, r.leftText())
		}
	}
	return out
}

// leftText says what is left of a path's budget.
func (r *route) leftText() string {
	if !r.metered() {
		return ""
	}
	left, until, _ := r.budget.state()
	return fmt.Sprintf(": %s of %s are left until %s", inMiB(left), inMiB(r.Budget), until.Format(time.DateOnly))
}

func inMiB(n int64) string { return fmt.Sprintf("%.1f MiB", float64(max(0, n))/(1<<20)) }
