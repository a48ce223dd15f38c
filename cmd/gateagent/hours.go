package main

import (
	_ "time/tzdata" // opening hours need the zone on every machine

	"gateagent/config"
	"gateagent/gate"
	"gateagent/web"
)

// hours makes the lane's opening hours; nil where the gate never closes.
func hours(c *config.Config) *gate.Hours {
	if c.Hours.Always() {
		return nil
	}
	h := &gate.Hours{Exceptions: map[string][]gate.Span{}}
	for day, spans := range c.Hours.Week {
		h.Week[day] = gateSpans(spans)
	}
	for date, spans := range c.Hours.Dates {
		h.Exceptions[date] = gateSpans(spans)
	}
	return h
}

func gateSpans(spans []config.Span) (out []gate.Span) {
	for _, s := range spans {
		out = append(out, gate.Span(s))
	}
	return out
}

// messages are the operator's texts for the pages.
func messages(c *config.Config) web.Messages {
	m := c.Messages
	return web.Messages{Closed: web.Text(m.Closed), Referred: web.Text(m.Referred), OutOfOrder: web.Text(m.OutOfOrder), Staff: web.Text(m.Staff)}
}
