"""HTTP servers for the tests of uv, with certificates of their own making.

usage: servers.py FOLDER      FOLDER: an empty one for keys, certificates and the files to serve (FOLDER/www)

Prints "NAME PORT" for each server, then "ready"; ends when its standard input does. All listen on 127.0.0.1.

  good      a certificate of the test's authority for localhost and 127.0.0.1
  names     the same, for localhost and no address
  expired, future, other
            one that was valid in January 2020, will be in 2090, is for www.other.example
  self      one that it signed itself
  old       speaks TLS 1.1 at most
  plain     HTTP without TLS
  mute      closes every connection before a word
  files     Python's own http.server, without TLS: FOLDER/www, no ranges
  secure_files   the same with the certificate of `good`
"""
import functools
import http.server
import os
import socket
import ssl
import subprocess
import sys
import threading

FOLDER = sys.argv[1]

CA_CONFIG = """
[ca]
default_ca = own
[own]
dir = .
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""


def openssl(*args):
    subprocess.run(["openssl", *args], cwd=FOLDER, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                   stdin=subprocess.DEVNULL)


EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def make_authority():
    with open(os.path.join(FOLDER, "ca.cnf"), "w") as file:
        file.write(CA_CONFIG)
    with open(os.path.join(FOLDER, "index.txt"), "w"):
        pass
    with open(os.path.join(FOLDER, "serial"), "w") as file:
        file.write("01\n")
    openssl("req", "-x509", *EC, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=authority of a test")


def make_certificate(name, alternative_names, *dates):
    openssl("req", *EC, "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name,
            "-addext", "subjectAltName=" + alternative_names)
    openssl("ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", name + ".csr",
            "-out", name + ".pem", "-notext", *(dates or ("-days", "30")))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/to":
            self.send_response(302)
            self.send_header("Location", query)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/large":
            self.send_response(200)
            self.send_header("Content-Length", query)
            self.end_headers()
            left = int(query)
            block = bytes(range(256)) * 256
            while left:
                count = min(left, len(block))
                self.wfile.write(block[:count])
                left -= count
        elif path in ("/cut", "/whole"):  # a body that ends with the connection, without and with TLS's goodbye
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"body")
            if path == "/whole":
                self.connection.unwrap()
            self.close_connection = True
        else:
            body = (path + " " + (getattr(self.connection, "asked_for", None) or "-")).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that refuses our certificate is what is tested


def remember_name(connection, name, _):
    connection.asked_for = name


def serve(name, handler=Handler, certificate=None, adjust=None):
    server = Server(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(FOLDER, certificate + ".pem"), os.path.join(FOLDER, certificate + ".key"))
        context.sni_callback = remember_name
        if adjust:
            adjust(context)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(name, server.server_address[1], flush=True)


def only_old(context):
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1


def serve_mute():
    listener = socket.create_server(("127.0.0.1", 0))

    def close_all():
        while True:
            connection, _ = listener.accept()
            connection.recv(1)  # the hello is on its way: hang up orderly, after its first byte
            connection.close()

    threading.Thread(target=close_all, daemon=True).start()
    print("mute", listener.getsockname()[1], flush=True)


def main():
    make_authority()
    make_certificate("good", "DNS:localhost,IP:127.0.0.1")
    make_certificate("names", "DNS:localhost,DNS:*.swarm.example")
    make_certificate("expired", "DNS:localhost", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
    make_certificate("future", "DNS:localhost", "-startdate", "20900101000000Z", "-enddate", "20910101000000Z")
    make_certificate("other", "DNS:www.other.example,DNS:other.example")
    openssl("req", "-x509", *EC, "-keyout", "self.key", "-out", "self.pem", "-days", "30", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost")
    for name in ("good", "names", "expired", "future", "other", "self"):
        serve(name, certificate=name)
    serve("old", certificate="good", adjust=only_old)
    serve("plain")
    serve_mute()
    os.makedirs(os.path.join(FOLDER, "www"), exist_ok=True)
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *args: None})
    for name, certificate in (("files", None), ("secure_files", "good")):
        serve(name, functools.partial(quiet, directory=os.path.join(FOLDER, "www")), certificate)
    print("ready", flush=True)
    sys.stdin.read()


main()
