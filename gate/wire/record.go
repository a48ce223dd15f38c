// Package wire holds the formats that travel between kiosk and central:
// records, batches, acknowledgements, presence and status. Both sides share
// it; it imports none of their rooms.
package wire

import "time"

// RecordVersion is the version of Record.
const RecordVersion = 1

// Kinds of records.
const (
	KindDecision   = "decision"   // the outcome of one transaction
	KindPassage    = "passage"    // what then happened at the gate
	KindResolution = "resolution" // how staff resolved a referral
	KindHelp       = "help"       // a traveller asked for help outside a transaction
)

// Record is everything that a kiosk says about one transaction. There is no
// field that could carry a portrait, a template, an MRZ, a name, a document
// number or chip bytes.
type Record struct {
	V    int    `json:"v"`
	Kind string `json:"kind"`
	// Tx is the transaction, 16 random bytes in hex. A passage or
	// resolution carries the transaction of its decision.
	Tx   string `json:"tx"`
	Gate string `json:"gate"`

	At           time.Time `json:"at"`            // the trusted time, else the wall clock
	SinceBoot    int64     `json:"since_boot_ms"` // CLOCK_BOOTTIME
	BootID       string    `json:"boot_id"`
	ClockTrusted bool      `json:"clock_trusted"`
	// ClockSource is where the time came from: kernel, held, central,
	// assumed, none.
	ClockSource string `json:"clock_source,omitempty"`

	// DeleteAt is when the record must be gone wherever it lies; zero when
	// nothing sets such a time.
	DeleteAt time.Time `json:"delete_at,omitzero"`

	Decision   *Decision   `json:"decision,omitempty"`
	Passage    *Passage    `json:"passage,omitempty"`
	Resolution *Resolution `json:"resolution,omitempty"`
}

// Decision is the outcome with its reasons.
type Decision struct {
	Outcome string   `json:"outcome"` // admit, refer, abort
	Reasons []uint32 `json:"reasons"` // codes, most important first; empty only for admit
	Overall string   `json:"overall"` // of the inspection report, by the default roll-up
	// CloneUnproven: admitted although the document offers no proof that its
	// chip is no copy, as the policy allows for its issuer.
	CloneUnproven bool    `json:"clone_unproven,omitempty"`
	Checks        []Check `json:"checks,omitempty"`
	Policy        string  `json:"policy"` // name of the policy in force
	Face          string  `json:"face"`   // "off", "matched", ...
	List          List    `json:"list"`
	// FaceCheck tells of the face step where there was one; numbers alone,
	// nothing from which a face could be made.
	FaceCheck *FaceCheck `json:"face_check,omitempty"`
	// DocRef is a keyed hash of issuer, type and complete number behind the
	// name of its key (DocKey.Ref); empty when DG1 was not proven or the kiosk
	// had no key in force.
	DocRef  string           `json:"doc_ref,omitempty"`
	Issuer  string           `json:"issuer,omitempty"`
	DocType string           `json:"doc_type,omitempty"`
	PhaseMS map[string]int64 `json:"phase_ms,omitempty"`
}

// FaceCheck is the face step of one transaction (TR-03121: score and threshold
// are logged).
type FaceCheck struct {
	Choice     string  `json:"choice"` // use, person, none
	LegalBasis string  `json:"legal_basis,omitempty"`
	Verdict    string  `json:"verdict"` // not_compared, matched, mismatched
	Code       uint32  `json:"code,omitempty"`
	Score      float64 `json:"score"`
	Threshold  float64 `json:"threshold"`
	// StrictThreshold is what a document without any chip proof needs.
	StrictThreshold float64 `json:"strict_threshold,omitempty"`
	Pack            string  `json:"pack,omitempty"`
	Admits          bool    `json:"admits"`
	PAD             float64 `json:"pad"` // presentation attack score in [0,1]; negative when none was measured
	Quality         float64 `json:"quality"`
	Frames          int     `json:"frames"`
	// Challenge is what the traveller was asked to do before the camera; nil
	// when nothing was.
	Challenge *FaceChallenge `json:"challenge,omitempty"`
}

// FaceChallenge is a challenge against presentation attacks and its answer.
type FaceChallenge struct {
	Kind     string  `json:"kind"` // turn, light
	Answered bool    `json:"answered"`
	Reaction int64   `json:"reaction_ms"` // 0 without an answer
	Evidence float64 `json:"evidence"`    // what was measured, -1..1
	Flat     float64 `json:"flat"`        // of a turn: how well a plane explains it, 0..1
	Score    float64 `json:"score"`       // 0..1
}

// Check is one line of the inspection report without its detail.
type Check struct {
	ID     string `json:"id"`
	Result string `json:"result"`
	Code   uint32 `json:"code"`
}

// List says which list answered and what.
type List struct {
	Answer     string `json:"answer"`
	Generation uint32 `json:"generation"`
	Version    uint64 `json:"version"`
	// Stale: what central pushed was older than the policy's mark, so whoever
	// was revoked since then was not known.
	Stale bool `json:"stale,omitempty"`
}

// Passage says what happened at the gate after an admission.
type Passage struct {
	Result string `json:"result"` // opened, passed, timed_out, not_opened, unknown
	Code   uint32 `json:"code,omitempty"`
}

// Resolution says how a named operator resolved a referral.
type Resolution struct {
	Operator string `json:"operator"`
	Outcome  string `json:"outcome"` // admitted_by_staff, refused, sent_back
	Reason   string `json:"reason"`  // one of the configured reasons
}
