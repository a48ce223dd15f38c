// Package doc makes simulated travel documents: countries with their own
// keys, people who do not exist, the files on their chips, and the ways in
// which such documents are forged. It writes its own DER and its own
// certificates, because Go's library knows neither brainpool curves nor
// explicit parameters, and shares no code with the reader that judges them.
package doc

import (
	"crypto"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

// World holds countries and makes documents. The same seed makes the same
// world, byte for byte. It may be used by several goroutines.
type World struct {
	seed int64

	mu     sync.Mutex // guards states and what is inside them
	states map[string]*State
}

// State is a country that issues documents.
type State struct {
	Code      string     // three letters as in the MRZ: "VNM", "D"
	Authority *Authority // in the trust folder
	Signer    *Signer

	revoked  *Signer // listed by the CRL in the trust folder
	expired  *Signer
	unlisted *Signer // under a CSCA that is in no trust folder
	forged   *Signer // never signed by the authority
}

// NewWorld makes a world. Keys are made when first needed.
func NewWorld(seed int64) *World { return &World{seed: seed, states: map[string]*State{}} }

// StateCodes lists the countries whose trust is written where none are named;
// every world also has SWE and USA.
func StateCodes() []string { return []string{"VNM", "UTO", "D", "FRA", "NLD"} }

// builtin gives the country's certificate profile: among them every family
// of keys and signatures found in the field.
func builtin(code string) (AuthorityConfig, bool) {
	ecdsa := func(curve string, explicit bool, h crypto.Hash) Algorithm {
		return Algorithm{Curve: curve, Explicit: explicit, Hash: h}
	}
	cfg := AuthorityConfig{Name: "Simulated CSCA " + code}
	switch code {
	case "VNM":
		cfg.Country = "VN"
		cfg.CA, cfg.Signer = ecdsa("brainpoolP384r1", true, crypto.SHA384), ecdsa("brainpoolP256r1", true, crypto.SHA256)
	case "UTO":
		cfg.Country = "UT"
		cfg.CA, cfg.Signer = Algorithm{RSA: 2048, Hash: crypto.SHA256}, Algorithm{RSA: 2048, Hash: crypto.SHA256}
	case "D":
		cfg.Country = "DE"
		cfg.CA, cfg.Signer = ecdsa("brainpoolP256r1", false, crypto.SHA256), ecdsa("brainpoolP256r1", false, crypto.SHA256)
	case "FRA":
		cfg.Country = "FR"
		cfg.CA, cfg.Signer = Algorithm{RSA: 2048, PSS: true, Hash: crypto.SHA256}, Algorithm{RSA: 2048, PSS: true, Hash: crypto.SHA256}
	case "NLD":
		cfg.Country = "NL"
		cfg.CA, cfg.Signer = ecdsa("P-384", false, crypto.SHA384), ecdsa("P-256", false, crypto.SHA256)
	case "SWE":
		cfg.Country = "SE"
		cfg.CA, cfg.Signer = ecdsa("brainpoolP512r1", true, crypto.SHA512), ecdsa("brainpoolP512r1", true, crypto.SHA512)
	case "USA":
		cfg.Country = "US"
		cfg.CA, cfg.Signer = Algorithm{RSA: 4096, Hash: crypto.SHA256}, Algorithm{RSA: 2048, Hash: crypto.SHA256}
	default:
		return AuthorityConfig{}, false
	}
	return cfg, true
}

// State gives one of the built-in countries, or one that AddState made.
func (w *World) State(code string) (*State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := w.states[code]; ok {
		return s, nil
	}
	cfg, ok := builtin(code)
	if !ok {
		return nil, fmt.Errorf("sim/doc: no state %q in this world: use AddState", code)
	}
	return w.addState(code, cfg)
}

// AddState makes or replaces a country with its own choice of algorithms.
func (w *World) AddState(code string, cfg AuthorityConfig) (*State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.addState(code, cfg)
}

func (w *World) addState(code string, cfg AuthorityConfig) (*State, error) {
	a, err := NewAuthority(w.seed, cfg)
	if err != nil {
		return nil, err
	}
	s := &State{Code: code, Authority: a}
	if s.Signer, err = a.NewSigner("Document signer 1", time.Time{}, time.Time{}); err != nil {
		return nil, err
	}
	w.states[code] = s
	return s, nil
}

// signer picks the signer that the alterations ask for and makes the rare
// ones when they are first wanted.
func (w *World) signer(s *State, a Alteration) (*Signer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	switch {
	case a&ForgeSigner != 0:
		if s.forged == nil {
			s.forged, err = s.Authority.ForgeSigner("Document signer 1")
		}
		return s.forged, err
	case a&UnknownIssuer != 0:
		if s.unlisted == nil {
			s.unlisted, err = w.unlisted(s)
		}
		return s.unlisted, err
	case a&RevokedSigner != 0:
		return w.revoked(s)
	case a&ExpiredSigner != 0:
		if s.expired == nil {
			s.expired, err = s.Authority.NewSigner("Document signer 3", time.Time{}, time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC))
		}
		return s.expired, err
	}
	return s.Signer, nil
}

// foreign gives the signer of another country, for who wants one.
func (w *World) foreign(state string, a Alteration) (*Signer, error) {
	if a&(ForeignSigner|ForeignCardSecurity) == 0 {
		return nil, nil
	}
	s, err := w.State(ForeignTo(state))
	if err != nil {
		return nil, err
	}
	return s.Signer, nil
}

// ForeignTo names the country whose signer stands in for one of the given
// state.
func ForeignTo(state string) string {
	if state == "NLD" {
		return "D"
	}
	return "NLD"
}

func (w *World) unlisted(s *State) (*Signer, error) {
	alg := Algorithm{Curve: "P-256", Hash: crypto.SHA256}
	a, err := NewAuthority(w.seed, AuthorityConfig{Country: s.Authority.Config.Country, Name: "Unlisted CSCA " + s.Code, CA: alg, Signer: alg})
	if err != nil {
		return nil, err
	}
	return a.NewSigner("Document signer 1", time.Time{}, time.Time{})
}

// revokedName is the signer that every CRL of a trust folder lists.
const revokedName = "Document signer 2"

func (w *World) revoked(s *State) (*Signer, error) {
	var err error
	if s.revoked == nil {
		s.revoked, err = s.Authority.NewSigner(revokedName, time.Time{}, time.Time{})
	}
	return s.revoked, err
}

// WriteTrust fills a trust folder with the CSCA and the CRL of the given
// countries (of all built-in ones when none is given).
func (w *World) WriteTrust(dir string, codes ...string) error {
	if len(codes) == 0 {
		codes = StateCodes()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, code := range codes {
		s, err := w.State(code)
		if err != nil {
			return err
		}
		if err := s.Authority.Write(dir); err != nil {
			return err
		}
		if err := s.Authority.WriteCRL(dir, serialFor(s.Authority.key, revokedName)); err != nil {
			return err
		}
	}
	return nil
}

// VietnamID makes a chip citizen card.
func (w *World) VietnamID(p Person, opts ...Option) (*Document, error) {
	f := citizenCard()
	r := w.draws("id", p)
	century := 2 * (p.Birth.Year()/100 - 19)
	if p.Sex == "F" {
		century++
	}
	provinces := []string{"001", "031", "048", "079", "092"}
	f.citizen(fmt.Sprintf("%s%d%s%06d", provinces[r.IntN(len(provinces))], century, p.Birth.Format("06"), r.IntN(1000000)))
	if r.IntN(2) == 0 {
		f.OldNumber = fmt.Sprintf("%09d", 10000000+r.IntN(300000000))
	}
	f.Expires, f.Unlimited = vietnamExpiry(p.Birth, f.Issued)
	return w.make(p, f, opts)
}

// Passport makes a passport (TD3) of the holder's state.
func (w *World) Passport(p Person, opts ...Option) (*Document, error) {
	f := passport(p.Nationality)
	r := w.draws("passport", p)
	f.Number = fmt.Sprintf("%c%08d", 'A'+rune(r.IntN(26)), r.IntN(100000000))
	f.CAN = fmt.Sprintf("%06d", r.IntN(1000000))
	return w.make(p, f, opts)
}

// Card makes an identity card (TD1) of the holder's state after ICAO's
// layout.
func (w *World) Card(p Person, opts ...Option) (*Document, error) {
	f := passport(p.Nationality)
	f.Format, f.Type, f.BAC = "TD1", "I", false
	r := w.draws("card", p)
	f.Number = fmt.Sprintf("%c%08d", 'A'+rune(r.IntN(26)), r.IntN(100000000))
	f.CAN = fmt.Sprintf("%06d", r.IntN(1000000))
	return w.make(p, f, opts)
}

// draws gives the random choices about one person's document of one kind.
func (w *World) draws(kind string, p Person) *rand.Rand {
	b := make([]byte, 16)
	_, _ = stream(seedBytes(w.seed), []byte(kind), personBytes(p)).Read(b) // ChaCha8 never fails
	return rand.New(rand.NewPCG(uint64(b[0])|uint64(b[1])<<8|uint64(b[2])<<16|uint64(b[3])<<24, uint64(b[4])|uint64(b[5])<<8))
}

// personBytes writes a person in a form that differs where people do.
func personBytes(p Person) []byte {
	b, _ := json.Marshal(p) // strings and a time always marshal
	return b
}

func (w *World) make(p Person, f Profile, opts []Option) (*Document, error) {
	for _, o := range opts {
		o(&f)
	}
	if f.State == "VNM" && f.CitizenNumber != "" && len(f.CitizenNumber) != 12 {
		return nil, fmt.Errorf("sim/doc: a citizen number has twelve digits, not %d", len(f.CitizenNumber))
	}
	sort.Ints(f.Groups)
	s, err := w.State(f.State)
	if err != nil {
		return nil, err
	}
	signer, err := w.signer(s, f.Alter)
	if err != nil {
		return nil, err
	}
	other, err := w.foreign(f.State, f.Alter)
	if err != nil {
		return nil, err
	}
	if f.Alter&ForeignSigner != 0 {
		signer = other
	}
	random := stream(seedBytes(w.seed), []byte("document"), []byte(f.Format+f.State+f.fullNumber()), personBytes(p))
	d, err := build(p, f, random, signer, other)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", strings.ToLower(f.Format), f.State, err)
	}
	return d, nil
}
