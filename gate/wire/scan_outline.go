package wire

// Names of a record that scanOutline looks at, as bits: none may come twice.
const (
	sawVersion = 1 << iota
	sawKind
	sawTx
	sawDeleteAt
	sawDecision
	sawPassage
	sawResolution
	sawOutcome
	sawReasons
	sawCode
)

// scanOutline reads of a record what DecodeOutline gives.
func scanOutline(body []byte) (*Record, bool) {
	s := scan{b: body}
	r, seen := new(Record), 0
	once := func(bit int) {
		s.bad = s.bad || seen&bit != 0
		seen |= bit
	}
	s.object(func(name []byte) {
		switch string(name) {
		case "v":
			once(sawVersion)
			r.V = int(s.number())
		case "kind":
			once(sawKind)
			r.Kind = string(s.text())
		case "tx":
			once(sawTx)
			r.Tx = string(s.text())
		case "delete_at":
			once(sawDeleteAt)
			s.bad = s.bad || r.DeleteAt.UnmarshalText(s.text()) != nil
		case "decision":
			once(sawDecision)
			r.Decision = new(Decision)
			s.decision(r.Decision, once)
		case "passage":
			once(sawPassage)
			r.Passage = new(Passage)
			s.passage(r.Passage, once)
		case "resolution":
			once(sawResolution)
			r.Resolution = new(Resolution)
			s.resolution(r.Resolution, once)
		default:
			s.other(name)
		}
	})
	return r, s.done()
}

// other skips what is not looked at. encoding/json takes names in whatever
// case; one that is not in ours is left to it.
func (s *scan) other(name []byte) {
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			s.bad = true
		}
	}
	s.skip(0)
}

func (s *scan) decision(d *Decision, once func(int)) {
	s.object(func(name []byte) {
		switch string(name) {
		case "outcome":
			once(sawOutcome)
			d.Outcome = string(s.text())
		case "reasons":
			once(sawReasons)
			s.array(func() { d.Reasons = append(d.Reasons, s.code()) })
		case "clone_unproven": // has rules of its own, and is rare
			s.bad = true
		default:
			s.other(name)
		}
	})
}

func (s *scan) passage(p *Passage, once func(int)) {
	s.object(func(name []byte) {
		switch string(name) {
		case "result":
			once(sawOutcome)
			p.Result = string(s.text())
		case "code":
			once(sawCode)
			p.Code = s.code()
		default:
			s.other(name)
		}
	})
}

func (s *scan) resolution(r *Resolution, once func(int)) {
	s.object(func(name []byte) {
		if string(name) == "outcome" {
			once(sawOutcome)
			r.Outcome = string(s.text())
			return
		}
		s.other(name)
	})
}

func (s *scan) code() uint32 {
	v := s.number()
	s.bad = s.bad || v > 1<<32-1
	return uint32(v)
}
