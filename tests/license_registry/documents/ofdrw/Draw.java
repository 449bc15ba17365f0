import java.nio.file.Paths;
import javax.imageio.ImageIO;
import org.ofdrw.converter.ImageMaker;
import org.ofdrw.reader.ContentExtractor;
import org.ofdrw.reader.OFDReader;

/** Prints the text of an OFD and draws its pages: Draw FILE PREFIX. */
public class Draw {
    public static void main(String[] given) throws Exception {
        try (OFDReader reader = new OFDReader(Paths.get(given[0]))) {
            System.out.println("attached " + reader.getAttachmentList().size());
            System.out.println(String.join("\n", new ContentExtractor(reader).extractAll()));
            ImageMaker maker = new ImageMaker(reader, 8);
            for (int page = 0; page < maker.pageSize(); page++) {
                ImageIO.write(maker.makePage(page), "PNG", Paths.get(given[1] + page + ".png").toFile());
            }
        }
    }
}
