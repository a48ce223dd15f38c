package offline

import (
	"fmt"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
)

// checkAge refuses an admission while central has not acknowledged for too long:
// what is decided here would be known to nobody else. The record's own time
// counts, which is the trusted one; other records are always taken.
func (o *Outbox) checkAge(rec wire.Record) error {
	oldest := o.Oldest()
	if o.cfg.MaxAge <= 0 || oldest.IsZero() || !isAdmission(rec) {
		return nil
	}
	if age := rec.At.Sub(oldest); age > o.cfg.MaxAge {
		return fmt.Errorf("%w: the oldest result waits for central since %s, longer than %s; restore the connection to central, or carry the results by hand",
			ErrFull, oldest.Format(time.DateOnly), o.cfg.MaxAge)
	}
	return nil
}

// ageNotice warns at half of the age at which nobody is admitted any more.
func (o *Outbox) ageNotice() (gate.Notice, bool) {
	oldest := o.Oldest()
	if o.cfg.MaxAge <= 0 || oldest.IsZero() {
		return gate.Notice{}, false
	}
	switch age := o.cfg.Now().Sub(oldest); {
	case age > o.cfg.MaxAge:
		return gate.Notice{Level: "fault", Source: "outbox age",
			Text: "results wait for central for too long, and nobody is admitted: restore the connection, or carry them by hand"}, true
	case age > o.cfg.MaxAge/2:
		return gate.Notice{Level: "warning", Source: "outbox age", Text: fmt.Sprintf("results wait for central since %s; nobody is admitted from %s on",
			oldest.Format(time.DateOnly), oldest.Add(o.cfg.MaxAge).Format(time.DateOnly))}, true
	}
	return gate.Notice{}, false
}
