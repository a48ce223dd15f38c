package passhash

import "testing"

func TestRoundTrip(t *testing.T) {
	h := Hash([]byte("4711"))
	if ok, err := Verify(h, []byte("4711")); !ok || err != nil {
		t.Errorf("right secret: %v %v", ok, err)
	}
	if ok, err := Verify(h, []byte("4712")); ok || err != nil {
		t.Errorf("wrong secret: %v %v", ok, err)
	}
	if h == Hash([]byte("4711")) {
		t.Error("two hashes of one secret are equal: no salt")
	}
}

func TestMalformed(t *testing.T) {
	for _, s := range []string{
		"", "4711", "$argon2id$", "$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
		"$argon2id$v=19$m=4000000000,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
		"$argon2id$v=19$m=19456,t=0,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
		"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$",
	} {
		if ok, err := Verify(s, []byte("4711")); ok || err == nil {
			t.Errorf("%q: %v %v", s, ok, err)
		}
	}
}
