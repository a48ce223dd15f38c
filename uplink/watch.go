package uplink

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"gateagent/gate/wire"
)

// errDead ends a connection over which nothing is heard any more.
var errDead = errors.New("nothing is heard over this path any more")

// watched is what the watch of one connection shares with those who use it.
type watched struct {
	waiting atomic.Bool // results are on their way
	dead    atomic.Bool
	asking  atomic.Bool
}

// watch gives a path up that has died without a word, which TCP alone notices
// after minutes: when nothing is heard it asks the broker for something, and
// when still nothing comes it cuts the connection. A metered path is asked
// only while results are on their way; MQTT's own pings, which are slower, do
// the rest.
func (c *connection) watch(ctx context.Context, metered bool) {
	counted := c.socket().below
	leaves := upload{conn: counted}
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	began := time.Now() // of what must be answered
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if leaves.moves() {
			counted.hear()
		}
		if metered && !c.watched.waiting.Load() {
			began = time.Now()
			continue
		}
		sign := counted.lastHeard()
		if began.After(sign) {
			sign = began
		}
		switch silent := time.Since(sign); {
		case silent > deadAfter:
			c.watched.dead.Store(true)
			c.fail(errDead)
			c.sever()
			return
		case silent > askAfter:
			c.ask()
		}
	}
}

// watchWhile begins to watch and gives the end of it.
func (c *connection) watchWhile(ctx context.Context, metered bool) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.watch(ctx, metered)
	}()
	return func() { cancel(); <-done }
}

// ask makes the broker say something: it acknowledges that we no longer
// listen to a topic to which we never did (MQTT 3.1.1, section 3.10.4). A
// ping would do if the client let us send one.
func (c *connection) ask() {
	if !c.watched.asking.CompareAndSwap(false, true) {
		return
	}
	go func() { // the client may block on a dead connection until it is cut
		defer c.watched.asking.Store(false)
		c.client.Unsubscribe(wire.Topic(c.kiosk, "command")).WaitTimeout(askAfter)
	}()
}

// sever closes the connection below the client, whatever that is doing.
func (c *connection) sever() {
	if conn := c.socket(); conn != nil {
		_ = conn.below.Close() // it is gone either way
	}
}
