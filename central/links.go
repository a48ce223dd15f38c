package central

import (
	"fmt"
	"log/slog"
	"net/url"
	"slices"

	"gateagent/central/ca"
)

// links are the connections to all brokers. A kiosk is at one of them at a
// time, and may change without central's noticing: whatever is for a kiosk
// goes to all, and only the broker where the kiosk is passes it on. Nothing
// that a broker says about a kiosk can therefore keep answers from it that
// travel over another.
type links []*link

func newLinks(brokers []string, authority *ca.Authority, deliver func(string, bool, []byte), log *slog.Logger) (links, error) {
	var all links
	for i, b := range brokers {
		if u, err := url.Parse(b); err != nil || u.Scheme != "tls" || u.Hostname() == "" || u.Port() == "" {
			return nil, fmt.Errorf("broker %q: write it as tls://HOST:PORT", b)
		}
		if slices.Contains(brokers[:i], b) {
			return nil, fmt.Errorf("broker %q is named twice: name each once", b)
		}
		all = append(all, newLink(b, authority, deliver, log))
	}
	return all, nil
}

// Send sends over every link. One that is down among several gets nothing to
// send later: what it would bring is stale by then.
func (ls links) Send(topic string, payload []byte) {
	for _, l := range ls {
		if problem, _ := l.State(); problem == "" || len(ls) == 1 {
			l.Send(topic, payload)
		}
	}
}

// Keep has every broker keep a message.
func (ls links) Keep(topic string, payload []byte) {
	for _, l := range ls {
		l.Keep(topic, payload)
	}
}

// Problems says for each broker that is not connected, since when and why.
func (ls links) Problems() []string {
	var all []string
	for _, l := range ls {
		if p, since := l.State(); p != "" {
			all = append(all, fmt.Sprintf("No connection to the broker %s since %s: %s", l.broker, since.UTC().Format("15:04:05 MST"), p))
		}
	}
	return all
}
