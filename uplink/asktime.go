package uplink

import (
	"errors"
	"time"

	"gateagent/gate/wire"
)

// Timekeeper is where central's signed time goes.
type Timekeeper interface {
	// Wanted says whether a signed time would help now.
	Wanted() bool
	// Mark is taken when a question leaves, and given to Take with the
	// answer: it bounds how old the answer may be.
	Mark() time.Duration
	// Take takes a verified time that was signed after the mark.
	Take(signed time.Time, mark time.Duration) error
}

// askEvery is the pause after an answer.
const askEvery = 10 * time.Minute

// asker asks central for the time over one connection, one question at a
// time. Nothing depends on an answer: a kiosk that gets none goes on with its
// holdover.
type asker struct {
	u        *Uplink
	c        *connection
	question *wire.TimeQuestion // that awaits its answer; nil when none does
	mark     time.Duration
	due      time.Time
}

// look asks when it is time to.
func (a *asker) look() error {
	keeper := a.u.cfg.Time
	if keeper == nil || !a.c.timeTopic || time.Now().Before(a.due) || !keeper.Wanted() {
		return nil
	}
	id := a.u.cfg.Identity
	q, err := wire.NewTimeQuestion(id.Name, id.Signing)
	if err != nil {
		return err
	}
	payload, err := q.Encode()
	if err != nil {
		return err
	}
	a.question, a.mark, a.due = q, keeper.Mark(), time.Now().Add(a.u.cfg.AskAgain*time.Duration(a.c.route.beats()))
	return a.c.publish(wire.TopicTimeQuestion, 0, false, payload)
}

// take handles one message on the topic of the time. Whatever is wrong with
// it, the clock stays as it is.
func (a *asker) take(payload []byte) {
	t, err := wire.DecodeSignedTime(payload)
	if err == nil {
		err = t.Verify(a.u.cfg.Identity.AckKey, a.question)
	}
	switch {
	case errors.Is(err, wire.ErrStale):
		a.u.log.Debug("a signed time that was not asked for, or asked for before, is ignored")
		return
	case err != nil:
		a.u.alarm("a time that is not central's was refused", err)
		return
	}
	a.question = nil // an answer counts once
	if err := a.u.cfg.Time.Take(t.Time, a.mark); err != nil {
		a.u.log.Warn("central's time is not taken", "err", err)
		return
	}
	a.due = time.Now().Add(askEvery)
}
