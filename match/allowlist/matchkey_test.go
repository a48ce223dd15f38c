package allowlist

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"gateagent/gate"
)

// signedBy is the signature of a made-up document.
func signedBy(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }

func bySignature(text string) Document {
	sum := signedBy(text)
	return Document{Signature: hex.EncodeToString(sum[:])}
}

func byPerson(name, birth, flight string) Document {
	return Document{Name: name, Birth: birth, Flight: flight}
}

// A traveller is found by each of the match keys, however it is written, and
// the strictest entry under any of them wins.
func TestSeveralMatchKeys(t *testing.T) {
	refuse := row(bySignature("stolen"))
	refuse.Answer = Refuse
	elsewhere := row(byPerson("Le/Thi Hoa", "1988-12-31", "QH300"))
	elsewhere.Set = Set{Flights: []string{"QH0300"}, Gates: []string{"SGN-G13"}}
	s := mustStore(t, t.TempDir())
	if err := s.Load(t.Context(), build(t, testConfig(1, 1), row(vnm(1)), row(bySignature("mine")), refuse,
		row(byPerson("Nguyễn/Văn Anh", "1999-08-17", "VN0123")), elsewhere), at(testNow)); err != nil {
		t.Fatal(err)
	}
	person := func(q *gate.ListQuery, name, birth string) { q.Name, q.Birth = name, birth }
	for name, c := range map[string]struct {
		change func(*gate.ListQuery)
		want   gate.ListVerdict
	}{
		"number":                            {func(q *gate.ListQuery) { q.Number = vnm(1).Number }, gate.ListAllow},
		"nothing":                           {func(q *gate.ListQuery) {}, gate.ListNotFound},
		"signature":                         {func(q *gate.ListQuery) { q.Signature = signedBy("mine") }, gate.ListAllow},
		"another signature":                 {func(q *gate.ListQuery) { q.Signature = signedBy("yours") }, gate.ListNotFound},
		"number allows, signature refuses":  {func(q *gate.ListQuery) { q.Number, q.Signature = vnm(1).Number, signedBy("stolen") }, gate.ListRefuse},
		"person, flight of the gate":        {func(q *gate.ListQuery) { person(q, "NGUYEN<<VAN ANH", "1999-08-17") }, gate.ListAllow},
		"person on a boarding pass":         {func(q *gate.ListQuery) { person(q, "NGUYEN<<VAN ANH", "1999-08-17"); q.Flights = []string{"VN 123"} }, gate.ListAllow},
		"person on another flight":          {func(q *gate.ListQuery) { person(q, "NGUYEN<<VAN ANH", "1999-08-17"); q.Flights = []string{"VN124"} }, gate.ListNotFound},
		"person born on another day":        {func(q *gate.ListQuery) { person(q, "NGUYEN<<VAN ANH", "1999-08-18") }, gate.ListNotFound},
		"person born in a year":             {func(q *gate.ListQuery) { person(q, "NGUYEN<<VAN ANH", "1999") }, gate.ListNotFound},
		"another person":                    {func(q *gate.ListQuery) { person(q, "NGUYEN<<VAN AN", "1999-08-17") }, gate.ListNotFound},
		"person of another gate's flight":   {func(q *gate.ListQuery) { person(q, "LE<<THI HOA", "1988-12-31") }, gate.ListNotFound},
		"person with another gate's ticket": {func(q *gate.ListQuery) { person(q, "LE<<THI HOA", "1988-12-31"); q.Flights = []string{"QH300"} }, gate.ListWrongGate},
	} {
		q := ask(vnm(7))
		c.change(&q)
		for range 2 { // the second time from what the table remembers
			if a := s.Lookup(q); a.Verdict != c.want {
				t.Errorf("%s: %v, want %v", name, a.Verdict, c.want)
			}
		}
	}
	// A revocation under a key that the list does not even use counts.
	r := &Revocations{}
	if err := r.Revoke(testSecret(1), vnm(8), bySignature("mine")); err != nil {
		t.Fatal(err)
	}
	if err := s.SetRevocations(t.Context(), r.Marshal()); err != nil {
		t.Fatal(err)
	}
	q := ask(vnm(1))
	q.Signature = signedBy("mine")
	if a := s.Lookup(q); a.Code != gate.CodeListRevoked {
		t.Errorf("revoked by signature: %+v", a)
	}
}

// Where a row has a signature, the number cannot be guessed out of the table.
func TestSignatureHidesTheNumber(t *testing.T) {
	r := row(vnm(1))
	r.Signature = bySignature("mine").Signature
	table := mustOpen(t, build(t, testConfig(1, 1), r), 1)
	if found, err := table.Find(vnm(1)); err != nil || len(found) != 0 {
		t.Errorf("found by its number: %v, %v", found, err)
	}
	if found, err := table.Find(bySignature("mine")); err != nil || len(found) != 1 {
		t.Errorf("not found by its signature: %v, %v", found, err)
	}
}

func TestNormalisePersonsAndFlights(t *testing.T) {
	for in, want := range map[string]string{
		"VN123": "VN123", "vn 0123": "VN123", "VJ0001": "VJ1", "3U8888": "3U8888", "HVN0123": "HVN123", "U20012": "U212",
		"VN000": "VN0", "VN123A": "VN123A", "VN0123A": "VN123A", "A3600": "A3600",
	} {
		if got := normalFlight(in); got != want {
			t.Errorf("flight %s: %s, want %s", in, got, want)
		}
	}
	want := must(byPerson("NGUYEN<<THI MINH KHAI PHUONG ANH", "2000-02-29", "VN1").normalise())
	for _, d := range []Document{
		byPerson("NGUYEN/THIMINHKHAIPHUONGANH", "2000-02-29", "VN0001"), byPerson("Nguyễn, Thị Minh Khai Phương Anh Thư", "2000-02-29", "vn1"),
	} {
		if got := must(d.normalise()); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	for _, d := range []Document{
		byPerson("", "2000-02-29", "VN1"), byPerson("X", "2000-02-29", "VN1"), byPerson("AB", "2001-02-29", "VN1"), byPerson("AB", "2000-02", "VN1"),
		byPerson("AB", "2000-02-29", ""), byPerson("AB", "1899-01-01", "VN1"), byPerson("阮文", "2000-02-29", "VN1"), {Signature: "00"}, {Signature: "zz"},
	} {
		if _, err := d.normalise(); err == nil {
			t.Errorf("%+v accepted", d)
		}
	}
	long := must(byPerson("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "2000-02-29", "HVN1234A").normalise())
	if e := long.encode(); e.n+1 > len(e.b) {
		t.Error("no room for the counter")
	}
}

// A list for another airport, or one of a generation that is over, is refused.
func TestListOfAnotherAirport(t *testing.T) {
	s, err := OpenStore(t.TempDir(), Options{Keys: mustStore(t, t.TempDir()).opts.Keys, Airport: "SGN", Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		airport string
		version uint64
		taken   bool
	}{{"", 1, true}, {"SGN", 2, true}, {"HAN", 3, false}} {
		cfg := testConfig(1, c.version)
		cfg.Airport = c.airport
		if err := s.Load(t.Context(), build(t, cfg, row(vnm(1))), at(testNow)); (err == nil) != c.taken {
			t.Errorf("airport %q: %v", c.airport, err)
		}
	}
	old := testSecret(1)
	old.Began = testIssued.Add(-MaxGenerationAge - time.Hour)
	dir := build(t, testConfig(1, 4), row(vnm(1)))
	if err := s.LoadProven(t.Context(), mustOpen(t, dir, 1).st.Marshal(), dir+"/"+TableFile, old, at(testNow)); err == nil {
		t.Error("a generation of more than 30 days was taken")
	}
}
