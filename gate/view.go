package gate

import (
	"context"
	"time"
)

// Stage is where a transaction stands, as the screens show it.
type Stage string

// Stages. Every stage but Idle, OutOfOrder and Closed ends by itself.
const (
	StageIdle       Stage = "idle"         // waiting for a traveller: scan or present a document
	StageNeedCard   Stage = "need_card"    // scanned; put the document on the reader
	StageNeedScan   Stage = "need_scan"    // card is there; scan the code or the lines
	StageRescan     Stage = "rescan"       // the scan was unreadable: scan again
	StageReading    Stage = "reading"      // do not move the document
	StageAdmitted   Stage = "admitted"     // the gate is open, walk through
	StageSeeStaff   Stage = "see_staff"    // please see our staff; never a reason
	StageTryAgain   Stage = "try_again"    // interrupted, please try again
	StageOutOfOrder Stage = "out_of_order" // please use another gate
	StageHelpComing Stage = "help_coming"  // help was asked for, somebody is coming
	StageClosed     Stage = "closed"       // outside of the opening hours
)

// View is what the screens may show of a lane. Traveller-facing pages use
// Stage and Step alone; the rest is for staff.
type View struct {
	Gate  string    `json:"gate"`
	Tx    string    `json:"tx,omitempty"`
	Stage Stage     `json:"stage"`
	Step  string    `json:"step,omitempty"` // running step: access, sod, chip, dg1, dg2, list, decide, barrier
	Since time.Time `json:"since"`          // when the stage began
	// Opens is when a closed gate opens next, in the gate's zone; zero where
	// that is not known.
	Opens   time.Time `json:"opens,omitzero"`
	Outcome Outcome   `json:"outcome"`
	Reasons []Code    `json:"reasons,omitempty"`
	// CloneUnproven: admitted though the document offers no chip proof.
	CloneUnproven bool    `json:"clone_unproven,omitempty"`
	Checks        []Check `json:"checks,omitempty"` // failing first
	List          string  `json:"list,omitempty"`   // the list's answer
	Passage       string  `json:"passage,omitempty"`
	FaceOff       bool    `json:"face_off"` // the policy says that no face is compared
	// Face is what the traveller's screen shows of the face step; nil when
	// there is none. FaceResult is for staff alone.
	Face       *FaceView        `json:"face,omitempty"`
	FaceResult *FaceResult      `json:"face_result,omitempty"`
	Policy     string           `json:"policy"`
	Help       bool             `json:"help"` // somebody asked for help
	Timing     map[string]int64 `json:"timing_ms,omitempty"`
	// Open lists referrals that nobody has resolved yet, newest first.
	Open []Referral `json:"open,omitempty"`
	// Notices say what staff should know of the devices, most urgent first.
	Notices    []Notice   `json:"notices,omitempty"`
	ListStatus ListStatus `json:"list_status"`
	// Clock is where the time comes from by which documents are judged.
	Clock      ClockStatus `json:"clock"`
	QueueDepth int         `json:"queue_depth"` // results that central has not acknowledged
	UplinkUp   bool        `json:"uplink_up"`
}

// FaceState says where the face step stands.
type FaceState string

// Face states.
const (
	FaceAsk     FaceState = "ask"     // the notice: use my face, or see a person
	FaceCapture FaceState = "capture" // the camera is on
	FaceCompare FaceState = "compare" // the portrait is there, too
)

// FaceView is the traveller's part of the face step. It has no score.
type FaceView struct {
	State FaceState `json:"state"`
	Hint  FaceHint  `json:"hint,omitempty"`
}

// Referral is a transaction that staff have to resolve. It names nobody.
type Referral struct {
	Tx      string    `json:"tx"`
	At      time.Time `json:"at"`
	Outcome Outcome   `json:"outcome"`
	Reasons []Code    `json:"reasons"`
	Checks  []Check   `json:"checks,omitempty"` // failing first
}

// Notice is one line about a device or a supply.
type Notice struct {
	Level  string `json:"level"` // info, warning, fault
	Source string `json:"source"`
	Text   string `json:"text"`
}

// Screen shows views. web implements it. Show must not block.
type Screen interface {
	Show(View)
}

// Desk takes what people enter on the pages. The lane implements it for web.
type Desk interface {
	TravellerDesk
	StaffDesk
}

// TravellerDesk takes what the traveller's screen offers.
type TravellerDesk interface {
	// Help is the help button.
	Help(ctx context.Context) error
	// EnterCAN takes a card access number keyed in by hand.
	EnterCAN(ctx context.Context, can Secret) error
	// ChooseFace is the answer to the notice before the camera starts: use
	// my face, or see a person.
	ChooseFace(ctx context.Context, use bool) error
}

// StaffDesk takes what operators enter.
type StaffDesk interface {
	// Resolve records how a named operator resolved a referral. The caller
	// has checked the operator's PIN.
	Resolve(ctx context.Context, tx, operator, outcome, reason string) error
}

// Outcome of a transaction. The zero value refers.
type Outcome uint8

// Outcomes.
const (
	Refer Outcome = iota // see staff
	Admit
	Abort // try again
)

// String names the outcome as in records.
func (o Outcome) String() string {
	switch o {
	case Admit:
		return "admit"
	case Abort:
		return "abort"
	}
	return "refer"
}

// MarshalText writes the outcome by name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }
