package sipprobe

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxMessage is the maximum size of a response, in bytes. Responses to OPTIONS have some hundred.
const maxMessage = 64 << 10

// request is an OPTIONS request.
type request struct {
	text   []byte
	branch string // identifies the response (RFC 3261, section 17.1.3)
	callID string
}

// newRequest returns a request to a socket. local is the address from which it is sent. userAgent says who asks.
func newRequest(s Socket, local, userAgent string) request {
	id := rand.Text()
	r := request{branch: "z9hG4bK" + id, callID: id + "@kamailio-exporter"}
	transport := strings.ToUpper(s.Transport)
	// Max-Forwards 1 gets the response of the routing script, where 0 gets 483 from Kamailio itself.
	r.text = fmt.Appendf(nil, "OPTIONS %[1]s SIP/2.0\r\n"+
		"Via: SIP/2.0/%[2]s %[3]s;branch=%[4]s;rport\r\n"+
		"Max-Forwards: 1\r\n"+
		"From: <sip:kamailio-exporter@%[3]s>;tag=%[5]s\r\n"+
		"To: <%[1]s>\r\n"+
		"Call-ID: %[6]s\r\n"+
		"CSeq: 1 OPTIONS\r\n"+
		"Contact: <sip:kamailio-exporter@%[3]s>\r\n"+
		"User-Agent: %[7]s\r\n"+
		"Accept: application/sdp\r\n"+
		"Content-Length: 0\r\n\r\n", s.uri(), transport, local, r.branch, id[:8], r.callID, userAgent)
	return r
}

// response has what a probe needs of a SIP response.
type response struct {
	code   int
	branch string // of the topmost Via
	callID string
	method string // of CSeq
}

// answers reports whether the response is one to the request.
func (r response) answers(q request) bool {
	return r.branch == q.branch && r.callID == q.callID && r.method == "OPTIONS"
}

// errNotSIP is the error of bytes that are not a SIP message.
var errNotSIP = errors.New("not a SIP message")

// errIncomplete is the error of a message whose end has not arrived.
var errIncomplete = errors.New("the message is not complete")

// parse parses the message at the start of data, and returns its length. code is 0 for a request. A datagram is one message,
// which may have more bytes than its headers and its body (RFC 3261, section 18.3).
func parse(data []byte, datagram bool) (r response, length int, err error) {
	head, _, complete := bytes.Cut(data, []byte("\r\n\r\n"))
	if !complete {
		if !mayBeSIP(data) || len(data) >= maxMessage || datagram {
			return response{}, 0, errNotSIP
		}
		return response{}, 0, errIncomplete
	}
	lines := strings.Split(string(head), "\r\n")
	if r.code, err = parseStart(lines[0]); err != nil {
		return response{}, 0, err
	}
	body, err := r.parseHeaders(lines[1:])
	if err != nil {
		return response{}, 0, err
	}
	length = len(head) + len("\r\n\r\n")
	switch {
	case body > maxMessage-length || body < 0:
		return response{}, 0, errNotSIP
	case len(data) < length+body:
		return response{}, 0, errIncomplete
	case datagram:
		return r, len(data), nil
	default:
		return r, length + body, nil
	}
}

// mayBeSIP reports whether data can be the start of a SIP message: its first line has no control characters.
func mayBeSIP(data []byte) bool {
	line, _, _ := bytes.Cut(data, []byte("\r\n"))
	return !bytes.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' && c != '\r' || c == 0x7f })
}

// parseStart returns the code of a status line, 0 for that of a request.
func parseStart(line string) (code int, err error) {
	if strings.HasSuffix(line, " SIP/2.0") {
		return 0, nil
	}
	rest, ok := strings.CutPrefix(line, "SIP/2.0 ")
	text, _, _ := strings.Cut(rest, " ")
	code, convErr := strconv.Atoi(text)
	if !ok || convErr != nil || len(text) != 3 || code < 100 || code > 699 {
		return 0, errNotSIP
	}
	return code, nil
}

// parseHeaders reads the headers, and returns the length of the body.
func (r *response) parseHeaders(lines []string) (body int, err error) {
	via := false
	for _, line := range unfold(lines) {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return 0, errNotSIP
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "via", "v":
			if !via {
				r.branch, via = branchOf(value), true
			}
		case "call-id", "i":
			r.callID = value
		case "cseq":
			_, r.method, _ = strings.Cut(value, " ")
			r.method = strings.TrimSpace(r.method)
		case "content-length", "l":
			if body, err = strconv.Atoi(value); err != nil {
				return 0, errNotSIP
			}
		}
	}
	return body, nil
}

// unfold joins lines that begin with a space to the line before (RFC 3261, section 7.3.1).
func unfold(lines []string) []string {
	var all []string
	for _, line := range lines {
		if len(all) > 0 && (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")) {
			all[len(all)-1] += " " + strings.TrimSpace(line)
			continue
		}
		all = append(all, line)
	}
	return all
}

// branchOf returns the branch of the first value of a Via header.
func branchOf(via string) string {
	first, _, _ := strings.Cut(via, ",")
	for parameter := range strings.SplitSeq(first, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(strings.TrimSpace(name), "branch") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
