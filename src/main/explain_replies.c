#include <stddef.h>

#include "main/explain.h"

#define THERE "the sending server"
#define HERE "this server"
#define PROGRAM "the sending program: it breaks RFC 5321"

/* A test takes every refusal out of the source and looks for it here: a new reply needs a row. */
const struct explanation explain_replies[] = {
    /* ---- TLS */
    {"503 5.5.1&already in tls", "postern", "STARTTLS came a second time, inside TLS.", PROGRAM, "nothing here"},
    {"503 5.5.1&not inside a transaction", "postern", "STARTTLS came after MAIL.", PROGRAM, "nothing here"},
    {"530 5.7.0&must issue a starttls command first", "postern with require-tls = yes, and other servers that demand TLS",
     "Mail in clear is refused on this listener.", THERE,
     "let it use STARTTLS; on a public MX require-tls = no is right (RFC 3207 section 4)"},
    {"454 4.7.0&tls is required, and not available", "postern with require-tls = yes",
     "TLS is demanded and no certificate can be used at the moment: mail waits at the sender.", HERE,
     "postern why: the reason and the remedy"},
    /* ---- order and syntax */
    {"503 5.5.1&say ehlo first", "postern", "MAIL came before EHLO, or EHLO was not said again after STARTTLS.", PROGRAM,
     "nothing here"},
    {"503 5.5.1&already in a transaction", "postern", "MAIL came twice without RSET.", PROGRAM, "nothing here"},
    {"503 5.5.1&say mail first", "postern", "RCPT, DATA or BDAT came before an accepted MAIL.", PROGRAM,
     "the reply to MAIL before it: that one says what was wrong"},
    {"503 5.5.1&no valid recipients", "postern", "DATA or BDAT came although every RCPT was refused.", THERE,
     "the replies to RCPT before it: those say what was wrong"},
    {"503 5.5.1&the message has begun", "postern", "A command came in the middle of a message sent with BDAT.", PROGRAM, "nothing here"},
    {"500 5.5.1&command not recognized", "postern", "The command does not exist here.", THERE, "nothing here"},
    {"500 5.5.2&empty command", "postern", "An empty line where a command was expected.", PROGRAM, "nothing here"},
    {"500 5.5.2&bare cr or lf in a command", "postern", "Only CR LF ends a command: a lone CR or LF is how commands are smuggled.",
     PROGRAM, "nothing here"},
    {"500 5.5.2&control characters", "postern", "A command line with control characters in it: a client that means harm, or one that is broken.",
     PROGRAM, "nothing here"},
    {"500 5.5.2&line too long", "postern", "A command line longer than max-line-length.", THERE, "max-line-length, when the client is honest"},
    {"501 5.5.4&no argument is allowed", "postern", "The command takes no argument.", PROGRAM, "nothing here"},
    {"501 5.5.4&syntax", "postern", "The command's form is wrong; the reply shows the right one.", PROGRAM, "nothing here"},
    {"501 5.5.4&bad parameter of", "postern", "A parameter of MAIL or RCPT has a value that cannot be.", PROGRAM, "nothing here"},
    {"555 5.5.4&not supported", "postern", "A parameter of MAIL or RCPT that EHLO did not offer.", PROGRAM, "nothing here"},
    {"502 5.5.1&is not offered", "postern", "EXPN and AUTH are not offered on port 25.", THERE,
     "AUTH belongs to submission (port 587), not to a server that receives for its domains"},
    {"252 2.5.0", "postern", "VRFY says nothing about who exists.", "nobody", "nothing: only RCPT is answered truly"},
    /* ---- addresses */
    {"501 5.1.7", "postern", "The sender address cannot be one.", THERE, "the address in MAIL FROM, in the log of the sender"},
    {"501 5.1.3", "postern", "The recipient address cannot be one.", THERE, "the address in RCPT TO, in the log of the sender"},
    {"553 5.6.7", "postern", "An address outside ASCII, and the sender did not ask for SMTPUTF8.", THERE, "nothing here"},
    /* ---- the message */
    {"552 5.3.4&message size exceeds the limit", "postern", "The message is larger than max-message-size.", THERE, "max-message-size"},
    {"554 5.4.6&too many hops", "postern", "More Received fields than max-received-hops: the message goes round in a loop.",
     "mail routing", "the Received fields of the message: they show who passes it to whom"},
    {"550 5.6.0&body line is too long", "postern", "A line of the message is longer than max-body-line.", THERE, "max-body-line"},
    {"550 5.5.2&bare cr or lf in the message", "postern",
     "The message has a CR or LF that is not CR LF: servers disagree about such bytes, which is how messages are smuggled.", THERE,
     "the sending program; bare-newline = normalize repairs them"},
    {"550 5.5.2&nul in the message", "postern", "The message has a NUL byte, which no Maildir reader expects.", THERE, "the sending program"},
    {"452 4.5.3&too many recipients", "postern", "More recipients than max-recipients in one message; the sender brings the rest later.",
     "nobody", "nothing, or max-recipients"},
    /* ---- the end of a session */
    {"421 4.7.0&no more messages in this session", "postern", "max-messages-per-session were taken; the sender connects again.",
     "nobody", "nothing, or max-messages-per-session"},
    {"421 4.7.0&too many errors", "postern", "max-errors commands of one session were refused.", THERE,
     "the log here: the session's lines before smtp.connection-end; max-errors, when the client is honest"},
    {"421 4.7.0&not http", "postern", "A web client spoke to the SMTP port.", THERE, "nothing here"},
    {"421 4.3.2&shutting down", "postern", "The server stops, or this session belongs to a configuration from before several reloads.",
     "nobody", "nothing: the sender comes back"},
    {NULL, NULL, NULL, NULL, NULL},
};

const struct explanation explain_codes[] = {
    {"421", "a server that ends the connection", "Temporary: the sender tries again.", "the server that said it",
     "its log; here: the event smtp.connection-end"},
    {"450", "a server that refuses for now", "Temporary: the sender tries again.", "the server that said it", "its log; here: postern why"},
    {"451", "a server with trouble of its own", "Temporary: the sender keeps the mail and tries again.", "the server that said it",
     "its log; here: the events delivery.failed and tls.not-configured"},
    {"452", "a server without room", "Temporary: a disk, a quota or a limit is full.", "the server that said it", "its log; here: the event delivery.failed"},
    {"454", "a server whose TLS does not work at the moment", "Temporary: no certificate can be used.", "the server that said it",
     "here: postern why"},
    {"500", "a server that did not understand the command", "Not a command, or not in the form it takes.", "the client", "the log of the client"},
    {"501", "a server that did not understand an argument", "A syntax error.", "the client", "the log of the client"},
    {"502", "a server that does not have the command",
     "For STARTTLS: TLS is switched off on that port, or withheld from this client.", "the server that said it", "here: postern why"},
    {"503", "a server that got a command out of order", "Something before it was refused.", "the client", "the replies before this one"},
    {"504", "a server that does not know a parameter", "Not offered there.", "the client", "the log of the client"},
    {"521", "a server that takes no mail", "It never will (RFC 7504).", "the recipient's address", "the MX record of the domain"},
    {"523", "a server that finds the encryption too weak", "The session is in clear or weaker than its rule demands.", "the client",
     "the TLS settings of the client"},
    {"530", "a server that wants something first", "TLS or a login is demanded before mail.", "the client", "let it use STARTTLS, or log in"},
    {"535", "a server that does not take the password", "Wrong user or password.", "the client", "the client's settings"},
    {"538", "a server that takes passwords in TLS only", "Use STARTTLS before AUTH.", "the client", "the client's settings"},
    {"550", "a server that will not take this", "The mailbox does not exist, or policy forbids it.", "the recipient's address", "here: the domain section"},
    {"552", "a server without room for this", "The message is too large.", "the message", "here: max-message-size"},
    {"553", "a server that cannot use this address", "The address cannot be one.", "the address", "the log of the client"},
    {"554", "a server that will not take this", "Policy, or the transaction cannot go on.", "the server that said it", "the text behind the code"},
    {"555", "a server that does not know a parameter", "A parameter of MAIL or RCPT that was not offered.", "the client", "the log of the client"},
    {NULL, NULL, NULL, NULL, NULL},
};
