package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Outcomes of a decision as they stand in a record.
const (
	OutcomeAdmit = "admit"
	OutcomeRefer = "refer"
	OutcomeAbort = "abort"
)

// Results of a passage as they stand in a record.
const (
	PassageOpened    = "opened"
	PassagePassed    = "passed"
	PassageTimedOut  = "timed_out"
	PassageNotOpened = "not_opened"
	PassageUnknown   = "unknown"
)

var (
	outcomes       = []string{OutcomeAdmit, OutcomeRefer, OutcomeAbort}
	passageResults = []string{PassageOpened, PassagePassed, PassageTimedOut, PassageNotOpened, PassageUnknown}
)

// decode reads one JSON message of at most limit bytes. Fields that it does
// not know are skipped: what is decided hangs on signed fields alone, and a
// newer side may say more.
func decode(what string, b []byte, limit int, into any) error {
	if len(b) > limit {
		return fmt.Errorf("%s: %w: %d bytes, at most %d are read", what, ErrFormat, len(b), limit)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w: %s", what, ErrFormat, jsonFault(err))
	}
	return nil
}

// jsonFault keeps the place of a JSON error and drops the content, which may
// be personal.
func jsonFault(err error) string {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("not JSON at byte %d", syntax.Offset)
	case errors.As(err, &typ):
		return fmt.Sprintf("field %q at byte %d has the wrong type", typ.Field, typ.Offset)
	}
	return "not the JSON that was expected"
}

func encode(what string, v any, limit int) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%s: encode: %w", what, err)
	}
	return within(what, b, limit)
}

func within(what string, b []byte, limit int) ([]byte, error) {
	if len(b) > limit {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d travel", what, ErrFormat, len(b), limit)
	}
	return b, nil
}

// Encode writes the acknowledgement as it travels.
func (a *Ack) Encode() ([]byte, error) { return encode("acknowledgement", a, MaxAckBytes) }

// DecodeAck reads an acknowledgement within its bounds. Only Verify makes it
// believable.
func DecodeAck(data []byte) (*Ack, error) {
	a := new(Ack)
	if err := decode("acknowledgement", data, MaxAckBytes, a); err != nil {
		return nil, err
	}
	if a.V != AckVersion {
		return nil, fmt.Errorf("acknowledgement: %w %d", ErrVersion, a.V)
	}
	return a, nil
}

// Encode writes the presence as it travels.
func (p *Presence) Encode() ([]byte, error) { return encode("presence", p, MaxPresenceBytes) }

// DecodePresence reads a presence within its bounds.
func DecodePresence(data []byte) (*Presence, error) {
	p := new(Presence)
	if err := decode("presence", data, MaxPresenceBytes, p); err != nil {
		return nil, err
	}
	if p.V != PresenceVersion {
		return nil, fmt.Errorf("presence: %w %d", ErrVersion, p.V)
	}
	return p, nil
}

// Encode writes the status as it travels; notices past MaxNotices stay home.
func (s *Status) Encode() ([]byte, error) {
	c := *s
	if len(c.Notices) > MaxNotices {
		c.Notices = c.Notices[:MaxNotices]
	}
	return encode("status", &c, MaxStatusBytes)
}

// DecodeStatus reads a status within its bounds.
func DecodeStatus(data []byte) (*Status, error) {
	s := new(Status)
	if err := decode("status", data, MaxStatusBytes, s); err != nil {
		return nil, err
	}
	if s.V != StatusVersion {
		return nil, fmt.Errorf("status: %w %d", ErrVersion, s.V)
	}
	if len(s.Notices) > MaxNotices {
		return nil, fmt.Errorf("status: %w: %d notices, at most %d are read", ErrFormat, len(s.Notices), MaxNotices)
	}
	return s, nil
}

// Encode checks the record and writes it as a body.
func (r *Record) Encode() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	return encode("record", r, MaxBody)
}

// DecodeRecord reads a record from a body and checks its form.
func DecodeRecord(body []byte) (*Record, error) {
	r := new(Record)
	if err := decode("record", body, MaxBody, r); err != nil {
		return nil, err
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	return r, nil
}

// DecodeOutline reads of a record only kind, transaction, outcome, the codes
// with it and when it must be gone: what a list of many shows. Where
// DecodeRecord succeeds it gives the same; faults elsewhere in the record may
// escape it.
func DecodeOutline(body []byte) (*Record, error) {
	r, ok := scanOutline(body)
	if !ok || len(body) > MaxBody {
		return DecodeRecord(body)
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	return r, nil
}

// Check refuses a record whose parts do not fit its kind.
func (r *Record) Check() error {
	if r.V != RecordVersion {
		return fmt.Errorf("record: %w %d", ErrVersion, r.V)
	}
	if !lowerHex(r.Tx, 32) && (r.Tx != "" || r.Kind != KindHelp) {
		return fmt.Errorf("record: %w: transaction %q: want 32 lower-case hex digits", ErrFormat, clip(r.Tx))
	}
	parts := map[string]bool{KindDecision: r.Decision != nil, KindPassage: r.Passage != nil, KindResolution: r.Resolution != nil}
	if _, known := parts[r.Kind]; !known && r.Kind != KindHelp {
		return fmt.Errorf("record: %w: kind %q", ErrFormat, clip(r.Kind))
	}
	for kind, there := range parts {
		if there != (kind == r.Kind) {
			return fmt.Errorf("record: %w: kind %q and the part %q do not fit", ErrFormat, r.Kind, kind)
		}
	}
	if r.Decision != nil && !slices.Contains(outcomes, r.Decision.Outcome) {
		return fmt.Errorf("record: %w: outcome %q", ErrFormat, clip(r.Decision.Outcome))
	}
	if r.Decision != nil && r.Decision.Outcome != OutcomeAdmit && len(r.Decision.Reasons) == 0 {
		return fmt.Errorf("record: %w: outcome %q without a reason", ErrFormat, r.Decision.Outcome)
	}
	if d := r.Decision; d != nil && d.CloneUnproven && (d.Outcome != OutcomeAdmit || d.FaceCheck == nil) {
		return fmt.Errorf("record: %w: clone_unproven without an admission by face", ErrFormat)
	}
	if r.Passage != nil && !slices.Contains(passageResults, r.Passage.Result) {
		return fmt.Errorf("record: %w: passage %q", ErrFormat, clip(r.Passage.Result))
	}
	return nil
}
