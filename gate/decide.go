package gate

// FacePolicy says in words whether a face must be compared. The zero value
// says nothing, and then nobody is admitted.
type FacePolicy uint8

// Face policies.
const (
	FaceUnset    FacePolicy = iota
	FaceOff                 // "off": admitted without a face; records and staff see it
	FaceRequired            // "required"
	facePolicies
)

// String gives the word used in configuration and records.
func (p FacePolicy) String() string {
	switch p {
	case FaceOff:
		return "off"
	case FaceRequired:
		return "required"
	}
	return "unset"
}

// FaceVerdict is the answer of the face comparison. The zero value means that
// none was made.
type FaceVerdict uint8

// Face verdicts.
const (
	FaceNotCompared FaceVerdict = iota
	FaceMatched
	FaceMismatched
	faceVerdicts
)

var faceVerdictNames = [...]string{"not_compared", "matched", "mismatched"}

// String names the verdict as in records.
func (v FaceVerdict) String() string {
	if v < faceVerdicts {
		return faceVerdictNames[v]
	}
	return faceVerdictNames[FaceNotCompared]
}

// MarshalText writes the verdict by name.
func (v FaceVerdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Policy is the word of the operator on who may pass.
type Policy struct {
	Name string // carried in every record; empty means no policy and refuses
	Face FacePolicy
	// MinAge is the age in years from which the camera may be used; 0 means
	// DefaultMinAge.
	MinAge int
	// LegalBasis is the policy code of the legal basis in force, carried in
	// every record of a face step.
	LegalBasis string
	// StrictScore is the least score by which the holder of a document without
	// any chip proof passes; 0 leaves it to the model pack's record, and it
	// never lowers that.
	StrictScore float64
}

// DefaultMinAge is the age below which travellers go to staff.
const DefaultMinAge = 14

// Facts are everything that a decision rests on. The zero value refers.
type Facts struct {
	Policy   Policy
	Document Result // overall result of the inspection
	List     ListVerdict
	ListCode Code
	Face     FaceVerdict
	FaceCode Code // why there is no match

	// CloneUnproven: the document is undetermined for the missing chip proof
	// alone, and the profile names its issuer (Profile.CloneUnproven).
	CloneUnproven bool
	// FaceStrict: the match also holds at the stricter threshold that such a
	// document needs.
	FaceStrict bool

	// Closed: the gate is outside of its opening hours.
	Closed bool

	HelpAsked     bool // the traveller asked for help
	AbortedBefore bool // the transaction before this one was aborted too
}

// Decision is an outcome with its reasons, most important first. Only an
// admission has none.
type Decision struct {
	Outcome Outcome
	Reasons []Code
	// CloneUnproven marks an admission of a document that offers no proof
	// that its chip is no copy.
	CloneUnproven bool
}

// Decide is the decision, a pure function. It admits only when the document
// is successful, the list allows, and the policy's word on the face is kept;
// an interrupted reading without anything against the traveller is aborted
// once and referred the second time in a row; everything else is referred, and
// so is whoever is still at the gate when it closes.
//
// One exception (inspection report, "Roll-up": a profile may name issuers for
// which chip N passes on stated conditions): a document that nothing but its
// missing chip proof keeps from being successful is admitted when its issuer
// is named, the policy requires the face, and the face matches at the stricter
// threshold; a copied chip then still shows another person's face.
func Decide(f Facts) Decision {
	if f.HelpAsked {
		return refer(CodeHelpAsked)
	}
	unproven := f.Document == Undetermined && f.CloneUnproven && f.Policy.Face == FaceRequired
	switch f.Document {
	case Successful:
	case Failed:
		return refer(CodeDocumentFailed)
	case Aborted:
		if f.AbortedBefore {
			return refer(CodeAbortedTwice)
		}
		return Decision{Outcome: Abort, Reasons: []Code{CodeDocumentAborted}}
	default:
		if !unproven {
			return refer(CodeDocumentUndetermined)
		}
	}
	if f.Policy.Name == "" {
		return refer(CodePolicyUnset)
	}
	if f.Closed {
		return refer(CodeGateClosed)
	}
	if f.List != ListAllow {
		return refer(CodeListRefused, listReason(f))
	}
	switch f.Policy.Face {
	case FaceOff:
		return Decision{Outcome: Admit}
	case FaceRequired:
		switch {
		case f.Face != FaceMatched:
			return refer(faceReason(f))
		case unproven && !f.FaceStrict:
			return refer(CodeFaceNotStrict)
		}
		return Decision{Outcome: Admit, CloneUnproven: unproven}
	}
	return refer(CodeFaceNotDeclared)
}

func listReason(f Facts) Code {
	if f.ListCode != 0 {
		return f.ListCode
	}
	return CodeListNotAsked
}

func faceReason(f Facts) Code {
	if f.FaceCode != 0 {
		return f.FaceCode
	}
	return CodeFaceNotAvailable
}

func refer(codes ...Code) Decision { return Decision{Outcome: Refer, Reasons: codes} }
