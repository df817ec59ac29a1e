# A root made by mmdebstrap (base.sh), as an image.
FROM scratch
ADD root.tar /
ENV PATH=/usr/bin
