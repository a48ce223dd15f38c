package web

import (
	"time"

	"gateagent/gate"
)

// Text is one short text in the languages of the screens. The pages show it as
// plain text, whatever it holds.
type Text struct {
	Vi string `json:"vi"`
	En string `json:"en"`
}

// Messages are the operator's own texts, by where they are shown.
type Messages struct {
	Closed, Referred, OutOfOrder Text // the traveller's screen
	Staff                        Text // the staff page
}

// at is what the traveller's screen says at a stage; nil says nothing.
func (m *Messages) at(s gate.Stage) *Text {
	t := &Text{}
	switch s {
	case gate.StageClosed:
		t = &m.Closed
	case gate.StageSeeStaff:
		t = &m.Referred
	case gate.StageOutOfOrder:
		t = &m.OutOfOrder
	}
	if *t == (Text{}) {
		return nil
	}
	return t
}

// opensText is a time by the clock on the wall, with its day where that is not
// within the next hours.
func opensText(opens, now time.Time) string {
	switch {
	case opens.IsZero():
		return ""
	case opens.Sub(now) < 18*time.Hour:
		return opens.Format("15:04")
	}
	return opens.Format("2006-01-02 15:04")
}
