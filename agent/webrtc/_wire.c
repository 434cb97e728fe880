/* A burst made one viewer's own and sent, a call each: what `wire.py` says, where the hot path is compiled.
 *
 * Everything here is of bytes that are ours: pictures, numbers, addresses that ICE has settled on. libsrtp is the one
 * that pylibsrtp has loaded, called by its address, so that nothing is linked with but the C library.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* linux/udp.h */
#endif

enum { RTP_HEADER = 12, SEQUENCE_AT = 2, TIMESTAMP_AT = 4, MOST_APPENDED = 148 /* no less than SRTP_MAX_TRAILER_LEN */ };

typedef int protect_function(void *session, void *packet, int *length);

static void put(unsigned char *at, unsigned long value, int bytes) /* in network order */
{
    while (bytes--) {
        at[bytes] = value & 0xFF;
        value >>= 8;
    }
}

/* An unsigned number of an argument; whatever is wrong with it stands in PyErr_Occurred. */
static unsigned long number(PyObject *argument)
{
    return PyLong_AsUnsignedLongMask(argument);
}

static int burst(protect_function *protect, void *session, const Py_buffer *out, const Py_buffer *data,
                 const Py_buffer *sizes, PyObject *const *numbers)
{
    size_t first = number(numbers[0]), count = number(numbers[1]), stride = number(numbers[2]);
    unsigned long sequence = number(numbers[3]), timestamp = number(numbers[4]);
    size_t transport_at = number(numbers[5]);
    unsigned long transport_number = number(numbers[6]);
    size_t packets = sizes->len / sizeof(int), from = first * stride, whole = count * stride;
    if (PyErr_Occurred())
        return -1;
    if (!count || count > packets || first > packets - count || from >= (size_t)data->len) {
        PyErr_SetString(PyExc_ValueError, "a burst beyond its image");
        return -1;
    }
    if (stride < RTP_HEADER || stride > UINT16_MAX || transport_at > stride - 2 ||
        whole + MOST_APPENDED > (size_t)out->len) {
        PyErr_SetString(PyExc_ValueError, "a burst beyond its buffer");
        return -1;
    }
    size_t bytes = Py_MIN(whole, data->len - from); /* the last packet may be shorter */
    memcpy(out->buf, (const char *)data->buf + from, bytes);
    for (size_t index = 0; index < count; index++) {
        unsigned char *packet = (unsigned char *)out->buf + index * stride;
        int length = ((const int *)sizes->buf)[first + index];
        if (length < RTP_HEADER || (size_t)length > stride || index * stride + length > bytes) {
            PyErr_SetString(PyExc_ValueError, "a packet beyond its place");
            return -1;
        }
        put(packet + SEQUENCE_AT, sequence + index, 2);
        put(packet + TIMESTAMP_AT, timestamp, 4);
        if (transport_at)
            put(packet + transport_at, transport_number + index, 2);
        int status = protect(session, packet, &length);
        if (status)
            return status;
    }
    return 0;
}

static PyObject *wire_protect(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    (void)module;
    if (given != 12) {
        PyErr_Format(PyExc_TypeError, "protect takes 12 arguments, not %zd", given);
        return NULL;
    }
    protect_function *protect = (protect_function *)PyLong_AsVoidPtr(arguments[0]);
    void *session = PyLong_AsVoidPtr(arguments[1]);
    if (PyErr_Occurred())
        return NULL;
    Py_buffer out, data, sizes;
    if (PyObject_GetBuffer(arguments[2], &out, PyBUF_WRITABLE))
        return NULL;
    int status = -1;
    if (!PyObject_GetBuffer(arguments[3], &data, PyBUF_SIMPLE)) {
        if (!PyObject_GetBuffer(arguments[4], &sizes, PyBUF_SIMPLE)) {
            status = burst(protect, session, &out, &data, &sizes, arguments + 5);
            PyBuffer_Release(&sizes);
        }
        PyBuffer_Release(&data);
    }
    PyBuffer_Release(&out);
    return PyErr_Occurred() ? NULL : PyLong_FromLong(status);
}

/* The socket does not block, so that the lock of the interpreter is kept: to take it anew costs more. */
static PyObject *wire_send(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    (void)module;
    if (given != 4) {
        PyErr_Format(PyExc_TypeError, "send takes 4 arguments, not %zd", given);
        return NULL;
    }
    int sock = PyLong_AsLong(arguments[0]);
    unsigned long stride = number(arguments[3]);
    if (PyErr_Occurred())
        return NULL;
    Py_buffer address, packets;
    if (PyObject_GetBuffer(arguments[1], &address, PyBUF_SIMPLE))
        return NULL;
    if (PyObject_GetBuffer(arguments[2], &packets, PyBUF_SIMPLE)) {
        PyBuffer_Release(&address);
        return NULL;
    }
    struct iovec bytes = {packets.buf, packets.len};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(uint16_t))];
    } control = {.room = {0}};
    struct msghdr message = {
        .msg_name = address.buf, .msg_namelen = address.len, .msg_iov = &bytes, .msg_iovlen = 1};
    if ((size_t)packets.len > stride) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(uint16_t)), .cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT};
        uint16_t segment = stride;
        memcpy(CMSG_DATA(&control.header), &segment, sizeof segment);
    }
    ssize_t sent = sendmsg(sock, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    PyBuffer_Release(&packets);
    PyBuffer_Release(&address);
    if (sent < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"protect", (PyCFunction)(void (*)(void))wire_protect, METH_FASTCALL, NULL},
    {"send", (PyCFunction)(void (*)(void))wire_send, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_wire", .m_size = 0, .m_methods = functions};

PyMODINIT_FUNC PyInit__wire(void)
{
    return PyModule_Create(&definition);
}
