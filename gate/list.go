package gate

import "time"

// ListQuery asks the allowlist about one proven document.
type ListQuery struct {
	Issuer  string // issuing state, three letters as in the MRZ, e.g. "VNM"
	DocType string // first MRZ field without filler, e.g. "ID", "P"
	Number  string // the complete number (Document.MatchNumber)
	// Signature is the SHA-256 of the signature in the document's security
	// object (Document.Signature); zero asks without it.
	Signature [32]byte
	Name      string // Document.Name, for lists that know no numbers
	Birth     string // Document.Birth, a whole date; otherwise nobody is found by name
	// Flights that the traveller may be on, where something tells; empty
	// stands for those that the list has at this gate.
	Flights []string
	Gate    string // this gate's name, e.g. "SGN-G12"
	At      TrustedTime
}

// ListVerdict is the answer of the allowlist. The zero value means that it
// was not asked.
type ListVerdict uint8

// Answers. Only ListAllow lets anybody through.
const (
	ListNotAsked ListVerdict = iota
	ListAllow
	ListRefer       // flagged: staff should see this traveller
	ListRefuse      // flagged: do not admit
	ListNotFound    // the document is not on the list
	ListTooEarly    // before the entry's window
	ListTooLate     // after it
	ListWrongGate   // listed for other gates
	ListUnavailable // no list, expired, damaged: Code says which
	listVerdicts    // count
)

var listVerdictNames = [...]string{"not_asked", "allow", "refer", "refuse", "not_found", "too_early", "too_late", "wrong_gate", "unavailable"}

// String names the verdict as in records.
func (v ListVerdict) String() string {
	if v < listVerdicts {
		return listVerdictNames[v]
	}
	return "unavailable"
}

// ListAnswer is the verdict with the list it came from.
type ListAnswer struct {
	Verdict    ListVerdict
	Code       Code // 0 when allowed
	Generation uint32
	Version    uint64
	Priority   bool     // the entry asks for a priority lane
	Flights    []string // flights of the entry, for staff
	Stale      bool     // what central pushed is older than the policy's mark
}

// Allowlist answers from the list in force. It never blocks on a network and
// answers ListUnavailable instead of failing. match/allowlist implements it.
type Allowlist interface {
	Lookup(q ListQuery) ListAnswer
}

// ListStatus describes the list in force for staff and central.
type ListStatus struct {
	Present    bool
	Generation uint32
	Version    uint64
	Entries    uint64
	Issued     time.Time
	Expires    time.Time
	Problem    string // why the last load was refused; empty when fine
	Root       string // of the list in force, hexadecimal: kiosks with one list have one root
	// Revocations is the number of the newest revocation in force, Revoked how
	// many match keys are off the list.
	Revocations uint64
	Revoked     int
}
