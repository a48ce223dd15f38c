package uplink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gateagent/gate/wire"
)

// errNoAck ends a connection over which central was silent several times.
var errNoAck = errors.New("central does not acknowledge what is sent")

// Paces of one connection.
const (
	strikesPerConnection = 3           // missed acknowledgements before a new connection
	statusLook           = time.Second // how often the status is compared
	presenceEvery        = 6           // heartbeats between repeated presences
	storeTimeout         = 10 * time.Second
)

// session is one connection from dial to loss. progress says whether central
// acknowledged anything over it.
func (u *Uplink) session(ctx context.Context, r *route, broker string) (progress bool, err error) {
	c, err := u.connect(ctx, r, broker)
	if err != nil {
		return false, err
	}
	defer c.leave()
	if u.quick() {
		defer c.watchWhile(ctx, r.metered())()
	}
	up, err := c.presence(true)
	if err == nil {
		err = c.publish(wire.TopicPresence, 1, true, up)
	}
	if err != nil {
		return false, err
	}
	u.setUp(r)
	u.notice("uplink", "", "", 0)
	u.log.Info("connected to central's broker", "path", r.Name, "broker", broker, "session", c.session)
	f := newFlow(u, c)
	err = u.serve(ctx, c, f)
	if !f.advanced && len(f.out) > 0 {
		u.room.less()
	}
	if errors.Is(err, errSpent) {
		err = errors.Join(err, c.lastWord(u))
	}
	return f.progressed, err
}

// serve works until the connection is lost or useless.
func (u *Uplink) serve(ctx context.Context, c *connection, f *flow) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	look := time.NewTicker(min(statusLook, u.cfg.Heartbeat, u.cfg.Look))
	defer look.Stop()
	var s statusSender
	ask := asker{u: u, c: c}
	if err := s.send(u, c); err != nil {
		return err
	}
	for {
		if err := f.fill(ctx); err != nil {
			return err
		}
		c.watched.waiting.Store(f.waiting())
		timer := time.NewTimer(time.Until(f.wakeAt()))
		var err error
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case lost := <-c.lost:
			err = fmt.Errorf("connection lost: %w", lost)
		case payload := <-c.acks:
			err = f.take(ctx, payload)
		case <-u.cfg.Store.Notify():
			f.retryAt = time.Time{}
		case payload := <-c.times:
			ask.take(payload)
		case payload := <-c.orders:
			u.command(payload)
		case <-c.socket().went:
		case <-look.C:
			if err = u.mayStay(c.route); err == nil && !c.busy() {
				err = errors.Join(s.look(u, c), ask.look())
			}
		case <-timer.C:
			err = f.wake(ctx)
		}
		timer.Stop()
		if err != nil {
			return err
		}
	}
}

// mayStay says why a path is to be left although it works.
func (u *Uplink) mayStay(r *route) error {
	switch {
	case r.metered() && r.spent():
		return errSpent
	case u.better(r):
		return errBetter
	}
	return nil
}

// statusSender publishes the status at change and as heartbeat.
type statusSender struct {
	sent  wire.Status
	at    time.Time
	beats int
	extra []wire.Notice // before those of the status
}

// look sends when the status changed in what people watch, or is due; over a
// metered path, where results come first, only when it is due.
func (s *statusSender) look(u *Uplink, c *connection) error {
	beats := c.route.beats()
	due := time.Since(s.at) >= u.cfg.Heartbeat*time.Duration(beats)
	if due || beats == 1 && still(u.cfg.Status()) != still(s.sent) {
		return s.send(u, c)
	}
	return nil
}

// still is the status without what changes all the time or is filled in here.
func still(s wire.Status) string {
	s.V, s.At, s.Session = 0, time.Time{}, ""
	s.Uplink = wire.UplinkStatus{}
	s.Epoch, s.LastNumber, s.Acknowledged, s.QueueDepth, s.OldestUnacked = "", 0, 0, 0, time.Time{}
	b, err := s.Encode()
	if err != nil {
		return "" // send says why
	}
	return string(b)
}

func (s *statusSender) send(u *Uplink, c *connection) error {
	st, q := u.cfg.Status(), u.cfg.Store.Queue()
	s.sent, s.at = st, time.Now()
	st.V, st.At, st.Session = wire.StatusVersion, s.at.UTC(), c.session
	st.Epoch, st.LastNumber, st.Acknowledged = q.Epoch, q.Last, q.Acknowledged
	st.QueueDepth, st.OldestUnacked = int(q.Last-q.Acknowledged), q.Oldest
	u.describe(&st, c.route)
	st.Notices = append(s.extra, st.Notices...)
	payload, err := st.Encode()
	if err != nil {
		// Not worth the connection: results matter more.
		u.log.Error("status not sent", "err", err)
		return nil
	}
	if err := c.publish(wire.TopicStatus, 0, true, payload); err != nil {
		return err
	}
	// The last will of an older connection may have come after the presence
	// of this one and lie there retained.
	if s.beats++; s.beats%presenceEvery == 0 {
		up, err := c.presence(true)
		if err != nil {
			return err
		}
		return c.publish(wire.TopicPresence, 1, true, up)
	}
	return nil
}

// lastWord tells central, before a path is closed whose budget is used up,
// that and why nothing will come.
func (c *connection) lastWord(u *Uplink) error {
	_, until, _ := c.route.budget.state()
	s := statusSender{extra: []wire.Notice{{Level: "fault", Source: sourceBudget,
		Text: "the budget of path " + c.route.Name + " is used up until " + until.Format(time.DateOnly) + ": the kiosk closes it, results wait there"}}}
	return s.send(u, c)
}
