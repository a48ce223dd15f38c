package web

import (
	"net/http"
	"strings"
)

// maxBody bounds every request body.
const maxBody = 4 << 10

// guard lets through what a browser on this kiosk sends to these pages: the
// Host must be ours (against DNS rebinding), and everything that changes
// something, as well as every event stream, must come from our own origin.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Set("Permissions-Policy", s.permissions())
		if !s.hosts[r.Host] {
			http.Error(w, "this page is served to this kiosk alone", http.StatusForbidden)
			return
		}
		if !s.ownOrigin(r) {
			http.Error(w, "this request comes from another page", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// ownOrigin judges Origin and Sec-Fetch-Site. A request that changes
// something needs an Origin of ours; a plain GET may come without one.
func (s *Server) ownOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return r.Method == http.MethodGet || r.Method == http.MethodHead
	}
	host, ok := strings.CutPrefix(origin, "http://")
	return ok && s.hosts[host]
}

// permissions allows the page its camera only where the kiosk is set up so.
func (s *Server) permissions() string {
	if s.cfg.Camera != nil {
		return "camera=(self), microphone=(), geolocation=()"
	}
	return "camera=(), microphone=(), geolocation=()"
}
