package central_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

func TestPresenceAndHeartbeat(t *testing.T) {
	t.Parallel()
	c := start(t, t.TempDir(), "")
	k := enrolKiosk(t, c.reg, "k1", c.Ready().Broker)
	will, err := (&wire.Presence{V: 1, Session: "s1", At: time.Now()}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	conn, cut := dialWithWill(t, k, will)
	k.conn = conn
	up, err := (&wire.Presence{V: 1, Up: true, Session: "s1", At: time.Now()}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	k.publish(t, "k1", wire.TopicPresence, up)
	status, err := (&wire.Status{V: 1, At: time.Now(), Gate: "T-G1", QueueDepth: 7}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	k.publish(t, "k1", wire.TopicStatus, status)
	one := func() store.Live {
		for _, l := range c.Live() {
			if l.Kiosk == "k1" {
				return l
			}
		}
		return store.Live{}
	}
	eventually(t, "present with a heartbeat", func() bool { l := one(); return l.Up && strings.Contains(string(l.Status), "T-G1") })
	cut()
	eventually(t, "absent by its last will", func() bool { return !one().Up })
	// A new connection is up again; the old one's will, arriving late, does
	// not undo it.
	k.connect(t)
	again, err := (&wire.Presence{V: 1, Up: true, Session: "s2", At: time.Now()}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	k.publish(t, "k1", wire.TopicPresence, again)
	eventually(t, "present again", func() bool { return one().Up })
	k.publish(t, "k1", wire.TopicPresence, will)
	k.publish(t, "k1", wire.TopicStatus, bytes.Replace(status, []byte("T-G1"), []byte("T-G2"), 1))
	eventually(t, "the newer heartbeat", func() bool { return strings.Contains(string(one().Status), "T-G2") })
	if !one().Up {
		t.Error("the will of an older connection made the kiosk absent")
	}
	// A restart of central forgets nothing of it.
	dir := c.dir
	c.stop(t)
	c = start(t, dir, "")
	if l := one(); !l.Up || l.Session != "s2" {
		t.Errorf("after a restart: up %v, session %q", l.Up, l.Session)
	}
}

// dialWithWill connects a kiosk with a last will; cut pulls the cable.
func dialWithWill(t *testing.T, k *kiosk, will []byte) (conn mqtt.Client, cut func()) {
	t.Helper()
	var raw net.Conn
	o := k.options(wire.ClientID(k.id.Name)).SetBinaryWill(wire.Topic(k.id.Name, wire.TopicPresence), will, 1, true).
		SetCustomOpenConnectionFn(func(u *url.URL, o mqtt.ClientOptions) (net.Conn, error) {
			var err error
			if raw, err = net.DialTimeout("tcp", u.Host, soon); err != nil {
				return nil, err
			}
			return tls.Client(raw, o.TLSConfig), nil
		})
	conn = mqtt.NewClient(o)
	if err := settled(conn.Connect()); err != nil {
		t.Fatal(err)
	}
	return conn, func() { _ = raw.Close() } // the will is what matters
}
